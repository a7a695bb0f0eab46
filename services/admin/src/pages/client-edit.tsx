// One OAuth client.
import type { OauthClient } from '~api';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { type Params, go } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { clientFields, clientSecretLabel, clientWidgets } from '../ui/client-widgets';
import { writable } from '../ui/create';
import { confirm } from '../ui/dialog';
import { Edit, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { RefName } from '../ui/inputs';
import { Badge, Button, Card, Facts, Head, Time } from '../ui/parts';
import { Rotate } from '../ui/rotate';
import { toast } from '../ui/toast';

const of = 'oauth_clients';
const overlap_max_s = 2592000;
export default function ClientEdit({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  const path = `${entity(of).path}/${id}`;
  const names = writable(of, 'change', clientFields);
  return (
    <Edit<OauthClient & Record<string, unknown>> of={of} id={id}>
      {(e) => {
        const c = e.row;
        const alive = c.status === 'active' && may('clients:write');
        return (
          <>
            <Head title={c.name} crumbs={[{ to: '/access/clients', text: t('nav.clients') }]}>
              {alive && c.type === 'confidential' && c.token_endpoint_auth_method !== 'private_key_jwt' && <Rotate path={`${path}/rotate`} etag={e.etag} field="client_secret" label={clientSecretLabel()} max={overlap_max_s} onDone={() => void e.reload()} />}
              {alive && c.previous_expires_at && <Button onClick={() => confirm({
                title: t('rotate.end_title'), text: t('rotate.end_about'), yes: t('rotate.end'), danger: true,
                run: async () => {
                  await call('DELETE', `${path}/previous-secret`, { etag: e.etag });
                  await e.reload();
                },
              })}>{t('rotate.end')}</Button>}
              {alive && <Button kind="danger" onClick={() => confirm({
                title: t('clients.revoke_title', { what: c.name }), text: t('clients.revoke_about'), yes: t('action.revoke'), danger: true,
                run: async () => {
                  await call('DELETE', path, { etag: e.etag });
                  toast(t('clients.revoked'));
                  e.form.reset(e.form.base);
                  setTimeout(() => go('/access/clients'));
                },
              })}>{t('action.revoke')}</Button>}
            </Head>
            <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
              <div class="stack">
                <FormFailure form={e.form} shown={names} />
                <div class="form">
                  <div class="card pad"><EntityFields form={e.form} names={names} widgets={clientWidgets} /></div>
                  <Card title={t('content.facts')} actions={<Badge of={c.status} />} pad>
                    <Facts rows={[
                      [fieldLabel(of, 'client_id'), <code>{c.client_id}</code>],
                      [fieldLabel(of, 'type'), valueLabel(c.type)],
                      [fieldLabel(of, 'token_endpoint_auth_method'), <code>{c.token_endpoint_auth_method}</code>],
                      [fieldLabel(of, 'user'), c.user ? <RefName of="users" id={c.user.id} /> : null],
                      [t('field.previous_expires_at'), <Time at={c.previous_expires_at} />],
                      [t('field.created_at'), <Time at={c.created_at} />],
                      [t('field.updated_at'), <Time at={c.updated_at} />],
                    ]} />
                  </Card>
                </div>
              </div>
              {alive && <SaveBar form={e.form} onSave={() => void e.save()} />}
            </form>
          </>
        );
      }}
    </Edit>
  );
}
