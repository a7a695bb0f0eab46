// A new person.
import { useState } from 'preact/hooks';
import { Failure, call, create, newKey } from '../lib/api';
import { startValues, useForm } from '../lib/form';
import { language, t } from '../lib/i18n';
import { entityLabel } from '../lib/labels';
import { go } from '../lib/router';
import { entity } from '../lib/schema';
import { SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { Head } from '../ui/parts';
import { toast } from '../ui/toast';
import { inviteRoute } from '../lib/people';
import { userWidgets } from '../ui/user-widgets';

const names = ['username', 'email', 'display_name', 'role', 'locale'];
export default function UserInvite() {
  const form = useForm('users', true, () => startValues('users', { role: 'author', locale: language.value }));
  const [once] = useState(newKey);
  const save = (): void => void form.submit(async () => {
    const a = await create<{ id: number }>(entity('users').path, form.body(), once);
    form.reset(form.values);
    const invite = inviteRoute(a.data.id);
    let said = t('users.made');
    if (invite)
      try {
        await call('POST', invite, { body: {}, once: `${once}-invite` });
        said = t('users.invited');
      } catch (e) {
        if (!(e instanceof Failure)) throw e;
        toast(`${t('users.not_invited')} ${e.message}`, 'bad');
      }
    toast(said);
    setTimeout(() => go(`/users/${a.data.id}`));
  });
  return (
    <>
      <Head title={t('users.invite')} about={t('users.invite_about')} crumbs={[{ to: '/users', text: entityLabel('users') }]} />
      <form noValidate onSubmit={(e) => { e.preventDefault(); save(); }}>
        <div class="stack">
          <FormFailure form={form} shown={names} />
          <div class="form single"><div class="card pad"><EntityFields form={form} names={names} widgets={userWidgets} /></div></div>
        </div>
        <SaveBar form={form} onSave={save} label={t('users.invite')} />
      </form>
    </>
  );
}
