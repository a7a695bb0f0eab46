// OAuth clients: programs of others that people let act for them.
import type { OauthClient } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { Link, query } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { RefName } from '../ui/inputs';
import { Filter, ListBody, Search, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Time } from '../ui/parts';

const of = 'oauth_clients';
export default function Clients() {
  const q = query.value.get('q');
  const list = useList<OauthClient>(entity(of).path, '-created_at', { 'filter[status]': query.value.get('status'), 'filter[name][contains]': q });
  const make = may('clients:write') ? <Button kind="primary" icon="plus" to="/access/clients/new">{t('clients.new')}</Button> : undefined;
  return (
    <>
      <Head title={t('nav.clients')} about={t('clients.about')}>{make}</Head>
      <Card>
        <div class="toolbar">
          <Search label={t('clients.search')} />
          <Filter name="status" label={fieldLabel(of, 'status')} choices={['active', 'revoked'].map((s) => [s, valueLabel(s)])} />
        </div>
        <ListBody
          list={list} label={t('nav.clients')}
          columns={[
            { id: 'name', label: fieldLabel(of, 'name'), main: true, sort: true, show: (c) => <Link class="strong" to={`/access/clients/${c.id}`}>{c.name}</Link> },
            { id: 'status', label: fieldLabel(of, 'status'), show: (c) => <Badge of={c.status} /> },
            { id: 'type', label: fieldLabel(of, 'type'), show: (c) => valueLabel(c.type) },
            { id: 'client_id', label: fieldLabel(of, 'client_id'), show: (c) => <code>{c.client_id}</code> },
            { id: 'user', label: fieldLabel(of, 'user'), show: (c) => (c.user ? <RefName of="users" id={c.user.id} /> : '–') },
            { id: 'created_at', label: t('field.created_at'), sort: true, show: (c) => <Time at={c.created_at} /> },
          ]}
          empty={q || query.value.get('status') ? <Empty icon="search" title={t('content.no_match')}>{t('content.no_match_about')}</Empty> : <Empty icon="app" title={t('clients.none')} action={make}>{t('clients.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
