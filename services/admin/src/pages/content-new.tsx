// A new row of the content.
import { useState } from 'preact/hooks';
import { create, newKey } from '../lib/api';
import { startValues, useForm } from '../lib/form';
import { language, t } from '../lib/i18n';
import { entityLabel, newOf, oneOf } from '../lib/labels';
import { type Params, go } from '../lib/router';
import { type ContentName, entity, isContent, looks } from '../lib/schema';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { SaveBar } from '../ui/editing';
import { NoEntity } from '../ui/no-entity';
import { Head } from '../ui/parts';
import { toast } from '../ui/toast';
import { columnsOf } from './content-edit';

function New({ of }: { of: ContentName }) {
  const columns = columnsOf(of, true);
  const form = useForm(of, true, () => startValues(of, looks[of].live ? { status: 'draft', language: language.value } : of === 'experts' || of === 'companies' ? { status: 'active' } : {}));
  const [once] = useState(newKey);
  const save = (): void => {
    void form.submit(async () => {
      const a = await create<{ id: number }>(entity(of).path, form.body(), once);
      form.reset(form.values);
      toast(t('content.created', { what: oneOf(of) }));
      setTimeout(() => go(`/content/${of}/${a.data.id}`));
    });
  };
  return (
    <>
      <Head title={newOf(of)} crumbs={[{ to: `/content/${of}`, text: entityLabel(of) }]} />
      <form noValidate onSubmit={(e) => { e.preventDefault(); save(); }}>
        <div class="stack">
          <FormFailure form={form} shown={[...columns.main, ...columns.side, ...columns.rest]} />
          <div class="form">
            <div class="card pad"><EntityFields form={form} names={[...columns.main, ...columns.rest]} /></div>
            <div class="card pad"><EntityFields form={form} names={columns.side} /></div>
          </div>
        </div>
        <SaveBar form={form} onSave={save} label={looks[of].live ? t('content.create_draft') : t('action.create')} />
      </form>
    </>
  );
}
export default function Page({ params }: { params: Params }) {
  const of = params['entity'] ?? '';
  return isContent(of) ? <New of={of} /> : <NoEntity />;
}
