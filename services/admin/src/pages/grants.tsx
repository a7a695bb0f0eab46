// What people let programs of others do, and how they take it back.
import type { OauthGrant } from '~api';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { query } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { Scopes } from '../ui/access';
import { confirm } from '../ui/dialog';
import { RefName } from '../ui/inputs';
import { Filter, ListBody, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Time } from '../ui/parts';
import { toast } from '../ui/toast';

const of = 'oauth_grants';
export default function Grants() {
  const list = useList<OauthGrant>(entity(of).path, '-created_at', { 'filter[status]': query.value.get('status') });
  return (
    <>
      <Head title={t('nav.grants')} about={t('grants.about')} />
      <Card>
        <div class="toolbar"><Filter name="status" label={fieldLabel(of, 'status')} choices={['active', 'revoked'].map((s) => [s, valueLabel(s)])} /></div>
        <ListBody
          list={list} label={t('nav.grants')}
          columns={[
            { id: 'client_name', label: fieldLabel(of, 'client'), main: true, sort: true, show: (g) => <b>{g.client_name}</b> },
            { id: 'user', label: fieldLabel(of, 'user'), show: (g) => (g.user ? <RefName of="users" id={g.user.id} /> : '–') },
            { id: 'status', label: fieldLabel(of, 'status'), show: (g) => <Badge of={g.status} /> },
            { id: 'scopes', label: fieldLabel(of, 'scopes'), show: (g) => <Scopes of={g.scopes} /> },
            { id: 'created_at', label: t('field.created_at'), sort: true, show: (g) => <Time at={g.created_at} /> },
            { id: 'do', label: '', right: true, show: (g) => g.status === 'active' && may('grants:write') && <Button small kind="danger" onClick={() => confirm({
              title: t('grants.revoke_title', { what: g.client_name ?? '' }), text: t('grants.revoke_about'), yes: t('action.revoke'), danger: true,
              run: async () => {
                await call('DELETE', `${entity(of).path}/${g.id}`);
                toast(t('grants.revoked'));
                list.reload();
              },
            })}>{t('action.revoke')}</Button> },
          ]}
          empty={<Empty icon="app" title={t('grants.none')}>{t('grants.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
