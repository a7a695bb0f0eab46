// One person: profile, role, suspension, how they sign in.
import type { ComponentChildren } from 'preact';
import { Failure, call, newKey } from '../lib/api';
import { t } from '../lib/i18n';
import { entityLabel } from '../lib/labels';
import { inviteRoute, resetRoute, type SignIn, signInPath } from '../lib/people';
import { useGet } from '../lib/query';
import type { Params } from '../lib/router';
import { entity, titleOf } from '../lib/schema';
import { may, session } from '../lib/session';
import { confirm } from '../ui/dialog';
import { Edit, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { Badge, Bones, Button, Card, Facts, FailureNote, Head, Note, Time } from '../ui/parts';
import { toast } from '../ui/toast';
import { userWidgets } from '../ui/user-widgets';
import { type Row, RowFacts, remove } from './content-edit';

const main = ['username', 'display_name', 'email', 'bio', 'website', 'meta'];
const side = ['role', 'locale', 'avatar'];
const ask = async (path: string, said: string): Promise<void> => {
  try {
    await call('POST', path, { body: {}, once: newKey() });
    toast(said);
  } catch (e) {
    if (!(e instanceof Failure)) throw e;
    toast(e.message, 'bad');
  }
};
/** How they sign in, and what an administrator can do about it. */
function SignInCard({ id }: { id: number }) {
  const got = useGet<SignIn>(signInPath(id));
  const s = got.data;
  const act = (title: string, text: string, method: 'POST' | 'DELETE', path: string, said: string): void => confirm({
    title, text, yes: title, danger: method === 'DELETE',
    run: async () => {
      await call(method, signInPath(id) + path);
      toast(said);
      got.reload();
    },
  });
  return (
    <Card title={t('users.sign_in')} pad>
      {got.error ? <FailureNote failure={got.error} retry={got.reload} /> : !s ? <Bones lines={3} /> : (
        <div class="stack">
          <Facts rows={[
            [t('security.password'), s.has_password ? t('form.yes') : t('users.no_password')],
            [t('security.totp'), s.second_factor ? t('users.totp_on', { n: s.recovery_codes_left }) : s.second_factor_required ? t('users.totp_needed') : t('form.no')],
            ...(s.locked_until ? [[t('users.locked'), <Time at={s.locked_until} />] as [string, ComponentChildren]] : []),
          ]} />
          {(s.locked_until || s.second_factor) && <div class="row">
            {s.locked_until && <Button small icon="lock" onClick={() => act(t('users.unlock'), t('users.unlock_about'), 'POST', '/unlock', t('users.unlocked'))}>{t('users.unlock')}</Button>}
            {s.second_factor && <Button small kind="danger" onClick={() => act(t('users.totp_remove'), t('users.totp_remove_about'), 'DELETE', '/totp', t('users.totp_removed'))}>{t('users.totp_remove')}</Button>}
          </div>}
        </div>
      )}
    </Card>
  );
}
export default function UserEdit({ params }: { params: Params }) {
  const id = Number(params['id']);
  const me = session.value?.user.id === id;
  return (
    <Edit<Row> of="users" id={String(id)}>
      {(e) => {
        const own = may('api:admin');
        const invite = inviteRoute(id);
        const reset = resetRoute(id);
        return (
          <>
            <Head title={titleOf('users', e.row)} crumbs={[{ to: '/users', text: entityLabel('users') }]}>
              <Badge of={e.row.status ?? ''} />
              {own && invite && <Button icon="send" onClick={() => void ask(invite, t('users.invited'))}>{t('users.invite_again')}</Button>}
              {own && reset && <Button icon="lock" onClick={() => void ask(reset, t('users.reset_sent'))}>{t('users.reset')}</Button>}
              {own && !me && (e.row.status === 'suspended'
                ? <Button icon="play" onClick={() => void e.save({ status: 'active' }, t('users.unsuspended'))}>{t('users.unsuspend')}</Button>
                : <Button kind="danger" onClick={() => confirm({ title: t('users.suspend_title', { what: titleOf('users', e.row) }), text: t('users.suspend_about'), yes: t('users.suspend'), danger: true, run: async () => { await e.save({ status: 'suspended' }, t('users.suspended')); } })}>{t('users.suspend')}</Button>)}
              {own && !me && <Button kind="danger" icon="trash" onClick={() => remove('users', e)}>{t('action.delete')}</Button>}
            </Head>
            <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
              <div class="stack">
                <FormFailure form={e.form} shown={[...main, ...side]} />
                {e.row.status === 'suspended' && <Note kind="warn">{t('users.is_suspended')}</Note>}
                <div class="form">
                  <div class="card pad"><EntityFields form={e.form} names={main} /></div>
                  <div class="stack"><div class="card pad"><EntityFields form={e.form} names={side} widgets={userWidgets} /></div>{own && <SignInCard id={id} />}<RowFacts row={e.row} /></div>
                </div>
              </div>
              {may(entity('users').write) && <SaveBar form={e.form} onSave={() => void e.save()} />}
            </form>
          </>
        );
      }}
    </Edit>
  );
}
