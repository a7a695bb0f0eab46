// One API key: what it may, from where, until when; rotate, revoke.
import type { ComponentChildren } from 'preact';
import type { ApiKey } from '~api';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import type { Params } from '../lib/router';
import { entity, has } from '../lib/schema';
import { may } from '../lib/session';
import { ScopeWidget } from '../ui/access';
import { writable } from '../ui/create';
import { confirm } from '../ui/dialog';
import { Edit, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { RefName } from '../ui/inputs';
import { Badge, Button, Card, Facts, Head, Note, Time } from '../ui/parts';
import { Rotate } from '../ui/rotate';
import { toast } from '../ui/toast';

const of = 'api_keys';
const overlap_max_s = 2592000;
export default function KeyEdit({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  const names = writable(of, 'change', ['name', 'device', 'scopes', 'expires_at', 'allowed_networks']);
  return (
    <Edit<ApiKey & Record<string, unknown>> of={of} id={id}>
      {(e) => {
        const k = e.row;
        const alive = k.status === 'active' && may('keys:write');
        return (
          <>
            <Head title={k.name} crumbs={[{ to: '/access/keys', text: t('nav.keys') }]}>
              {alive && has(`POST ${entity(of).path}/{id}/rotate`) && <Rotate path={`${entity(of).path}/${id}/rotate`} etag={e.etag} field="key" label={k.name} max={overlap_max_s} onDone={() => void e.reload()} />}
              {alive && <Button kind="danger" onClick={() => confirm({
                title: t('keys.revoke_title', { what: k.name }), text: t('keys.revoke_about'), yes: t('action.revoke'), danger: true,
                run: async () => {
                  e.take(await call('POST', `${entity(of).path}/${id}/revoke`, { etag: e.etag }));
                  toast(t('keys.revoked'));
                },
              })}>{t('action.revoke')}</Button>}
            </Head>
            <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
              <div class="stack">
                <FormFailure form={e.form} shown={names} />
                {k.status !== 'active' && <Note kind="warn">{t('keys.not_active')}</Note>}
                <div class="form">
                  <div class="card pad"><EntityFields form={e.form} names={names} widgets={{ scopes: ScopeWidget }} /></div>
                  <Card title={t('keys.use')} actions={<Badge of={k.status} />} pad>
                    <Facts rows={[
                      [fieldLabel(of, 'user'), k.user ? <RefName of="users" id={k.user.id} /> : null],
                      [fieldLabel(of, 'prefix'), <code>{k.prefix}…</code>],
                      [fieldLabel(of, 'last_used_at'), <Time at={k.last_used_at} none={t('keys.never')} />],
                      [fieldLabel(of, 'last_used_address'), k.last_used_address],
                      [fieldLabel(of, 'last_used_agent'), k.last_used_agent],
                      [fieldLabel(of, 'expires_at'), <Time at={k.expires_at} none={t('keys.no_end')} />],
                      ...(k['previous_expires_at'] ? [[t('field.previous_expires_at'), <Time at={String(k['previous_expires_at'])} />] as [string, ComponentChildren]] : []),
                      [t('field.created_at'), <Time at={k.created_at} />],
                      ...(k.revoked_at ? [[fieldLabel(of, 'revoked_at'), <Time at={k.revoked_at} />] as [string, ComponentChildren]] : []),
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
