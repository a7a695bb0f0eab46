// Endpoints of outgoing webhooks.
import type { WebhookEndpoint } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { Link, query } from '../lib/router';
import { entity, field } from '../lib/schema';
import { may } from '../lib/session';
import { RefName } from '../ui/inputs';
import { Filter, ListBody, Search, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Tabs, Time } from '../ui/parts';

const of = 'webhook_endpoints';
export const outTabs = (here: 'endpoints' | 'deliveries') => (
  <Tabs items={[{ to: '/webhooks/endpoints', text: t('nav.endpoints'), here: here === 'endpoints' }, { to: '/webhooks/deliveries', text: t('nav.deliveries'), here: here === 'deliveries' }]} />
);
export default function Endpoints() {
  const list = useList<WebhookEndpoint>(entity(of).path, '-created_at', { 'filter[status]': query.value.get('status'), 'filter[url][contains]': query.value.get('q') });
  const make = may('webhooks:write') ? <Button kind="primary" icon="plus" to="/webhooks/endpoints/new">{t('endpoints.new')}</Button> : undefined;
  const filtered = query.value.get('q') || query.value.get('status');
  return (
    <>
      <Head title={t('nav.endpoints')} about={t('endpoints.about')}>{make}</Head>
      {outTabs('endpoints')}
      <Card>
        <div class="toolbar">
          <Search label={t('endpoints.search')} />
          <Filter name="status" label={fieldLabel(of, 'status')} choices={(field('status', of)?.choices ?? []).map((s) => [s, valueLabel(s)])} />
        </div>
        <ListBody
          list={list} label={t('nav.endpoints')}
          columns={[
            { id: 'url', label: fieldLabel(of, 'url'), main: true, show: (e) => <><Link class="strong break" to={`/webhooks/endpoints/${e.id}`}>{e.url}</Link>{e.description && <div class="quiet">{e.description}</div>}</> },
            { id: 'status', label: fieldLabel(of, 'status'), show: (e) => <Badge of={e.status} /> },
            { id: 'events', label: fieldLabel(of, 'events'), show: (e) => <span class="clip">{e.events.join(', ')}</span> },
            { id: 'user', label: fieldLabel(of, 'user'), show: (e) => (e.user ? <RefName of="users" id={e.user.id} /> : '–') },
            { id: 'created_at', label: t('field.created_at'), sort: true, show: (e) => <Time at={e.created_at} /> },
            { id: 'log', label: '', show: (e) => <Link to={`/webhooks/deliveries?endpoint=${e.id}`}>{t('endpoints.log')}</Link> },
          ]}
          empty={filtered ? <Empty icon="search" title={t('content.no_match')}>{t('content.no_match_about')}</Empty> : <Empty icon="out" title={t('endpoints.none')} action={make}>{t('endpoints.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
