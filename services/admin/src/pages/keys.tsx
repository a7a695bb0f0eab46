// API keys.
import type { ApiKey } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { Link, query } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { Scopes } from '../ui/access';
import { RefName } from '../ui/inputs';
import { Filter, ListBody, Search, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Time } from '../ui/parts';

const of = 'api_keys';
export default function Keys() {
  const q = query.value.get('q');
  const list = useList<ApiKey>(entity(of).path, '-created_at', { 'filter[status]': query.value.get('status'), ...(q ? { 'filter[or][0][name][contains]': q, 'filter[or][1][device][contains]': q } : {}) });
  const make = may('keys:write') ? <Button kind="primary" icon="plus" to="/access/keys/new">{t('keys.new')}</Button> : undefined;
  return (
    <>
      <Head title={t('nav.keys')} about={t('keys.about')}>{make}</Head>
      <Card>
        <div class="toolbar">
          <Search label={t('keys.search')} />
          <Filter name="status" label={fieldLabel(of, 'status')} choices={['active', 'expired', 'revoked'].map((s) => [s, valueLabel(s)])} />
        </div>
        <ListBody
          list={list} label={t('nav.keys')}
          columns={[
            { id: 'name', label: fieldLabel(of, 'name'), main: true, sort: true, show: (k) => <Link class="strong" to={`/access/keys/${k.id}`}>{k.name}</Link> },
            { id: 'status', label: fieldLabel(of, 'status'), show: (k) => <Badge of={k.status} /> },
            { id: 'user', label: fieldLabel(of, 'user'), show: (k) => (k.user ? <RefName of="users" id={k.user.id} /> : '–') },
            { id: 'prefix', label: fieldLabel(of, 'prefix'), show: (k) => <code>{k.prefix}…</code> },
            { id: 'scopes', label: fieldLabel(of, 'scopes'), show: (k) => <Scopes of={k.scopes.slice(0, 3).concat(k.scopes.length > 3 ? [`+${k.scopes.length - 3}`] : [])} /> },
            { id: 'last_used_at', label: fieldLabel(of, 'last_used_at'), sort: true, show: (k) => <Time at={k.last_used_at} none={t('keys.never')} /> },
            { id: 'expires_at', label: fieldLabel(of, 'expires_at'), sort: true, show: (k) => <Time at={k.expires_at} none={t('keys.no_end')} /> },
          ]}
          empty={q || query.value.get('status') ? <Empty icon="search" title={t('content.no_match')}>{t('content.no_match_about')}</Empty> : <Empty icon="key" title={t('keys.none')} action={make}>{t('keys.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
