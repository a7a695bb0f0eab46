// The delivery log.
import type { WebhookDelivery } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { Link, query } from '../lib/router';
import { entity, eventTypes, field } from '../lib/schema';
import { useInterval } from '../lib/query';
import { RefName } from '../ui/inputs';
import { Filter, ListBody, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Time } from '../ui/parts';
import { outTabs } from './endpoints';

const of = 'webhook_deliveries';
const refresh_ms = 5000;
export default function Deliveries() {
  const q = query.value;
  const list = useList<WebhookDelivery>(entity(of).path, '-created_at', { 'filter[status]': q.get('status'), 'filter[event]': q.get('event'), 'filter[endpoint]': q.get('endpoint') });
  useInterval(list.poll, list.page === 1 ? refresh_ms : null);
  return (
    <>
      <Head title={t('nav.deliveries')} about={t('deliveries.about')}><Button icon="refresh" onClick={list.reload}>{t('action.refresh')}</Button></Head>
      {outTabs('deliveries')}
      <Card>
        <div class="toolbar">
          <Filter name="status" label={fieldLabel(of, 'status')} choices={(field('status', of)?.choices ?? []).map((s) => [s, valueLabel(s)])} />
          <Filter name="event" label={fieldLabel(of, 'event')} choices={eventTypes.map((e) => [e, e])} />
          {q.get('endpoint') && <Link to="/webhooks/deliveries">{t('deliveries.all_endpoints')}</Link>}
        </div>
        <ListBody
          list={list} label={t('nav.deliveries')}
          columns={[
            { id: 'event', label: fieldLabel(of, 'event'), main: true, show: (d) => <Link class="strong" to={`/webhooks/deliveries/${d.id}`}>{d.event}</Link> },
            { id: 'entity', label: fieldLabel(of, 'entity'), show: (d) => <code>{d.entity}</code> },
            { id: 'endpoint', label: fieldLabel(of, 'endpoint'), show: (d) => (d.endpoint ? <Link to={`/webhooks/endpoints/${d.endpoint.id}`}>#{d.endpoint.id}</Link> : '–') },
            { id: 'user', label: fieldLabel(of, 'user'), show: (d) => (d.user ? <RefName of="users" id={d.user.id} /> : '–') },
            { id: 'status', label: fieldLabel(of, 'status'), show: (d) => <Badge of={d.status} /> },
            { id: 'attempts', label: fieldLabel(of, 'attempts'), right: true, show: (d) => d.attempts },
            { id: 'response_code', label: fieldLabel(of, 'response_code'), right: true, show: (d) => d.response_code ?? '–' },
            { id: 'latency_ms', label: fieldLabel(of, 'latency_ms'), right: true, show: (d) => (d.latency_ms === null ? '–' : `${d.latency_ms} ms`) },
            { id: 'created_at', label: t('field.created_at'), sort: true, show: (d) => <Time at={d.created_at} /> },
          ]}
          empty={<Empty icon="send" title={t('deliveries.none')}>{t('deliveries.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
