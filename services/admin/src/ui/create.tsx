// Making a thing that has a secret: the form, then the secret, once.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { create, newKey } from '../lib/api';
import { type Form, startValues, useForm, type Values } from '../lib/form';
import { t } from '../lib/i18n';
import { go } from '../lib/router';
import { entity } from '../lib/schema';
import { SaveBar } from './editing';
import { EntityFields, FormFailure, type Widget } from './entity-form';
import { Button, Card, type Crumb, Head, Note } from './parts';

interface Props<R> {
  of: string;
  title: string;
  about?: string;
  crumb: Crumb;
  names: string[];
  preset?: Values;
  widgets?: Record<string, Widget>;
  beside?: (form: Form) => ComponentChildren;
  /** What is to be shown once; null: nothing, and the row is opened at once. */
  made: (row: R) => ComponentChildren | null;
  to: (row: R) => string;
}
export function Create<R extends { id: number }>({ of, title, about, crumb, names, preset = {}, widgets = {}, beside, made, to }: Props<R>) {
  const form = useForm(of, true, () => startValues(of, preset));
  const [once] = useState(newKey);
  const [row, setRow] = useState<R | null>(null);
  const save = (): void => {
    void form.submit(async () => {
      const a = await create<R>(entity(of).path, form.body(), once);
      form.reset(form.values);
      if (made(a.data) === null) setTimeout(() => go(to(a.data)));
      else setRow(a.data);
    });
  };
  if (row)
    return (
      <>
        <Head title={title} crumbs={[crumb]} />
        <div class="form single">
          <Card title={t('create.done')} pad>
            <div class="stack">
              <Note kind="good">{t('create.once')}</Note>
              {made(row)}
              <div class="row"><Button kind="primary" to={to(row)}>{t('create.kept')}</Button></div>
            </div>
          </Card>
        </div>
      </>
    );
  return (
    <>
      <Head title={title} about={about} crumbs={[crumb]} />
      <form noValidate onSubmit={(e) => { e.preventDefault(); save(); }}>
        <div class="stack">
          <FormFailure form={form} shown={names} />
          <div class={`form ${beside ? '' : 'single'}`}>
            <div class="card pad"><EntityFields form={form} names={names} widgets={widgets} /></div>
            {beside && <div class="stack">{beside(form)}</div>}
          </div>
        </div>
        <SaveBar form={form} onSave={save} label={t('action.create')} />
      </form>
    </>
  );
}
/** All fields that can be written then, the named ones first. */
export function writable(of: string, when: 'create' | 'change', first: string[], without: string[] = []): string[] {
  const names = entity(of).fields.filter((f) => f[when]).map((f) => f.name);
  return [...first.filter((n) => names.includes(n)), ...names.filter((n) => !first.includes(n) && !without.includes(n))];
}
