// The log of incoming messages.
import type { WebhookMessage } from '~api';
import { bytes, t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { providerLabel } from '../lib/providers';
import { useInterval } from '../lib/query';
import { Link, query } from '../lib/router';
import { entity, field } from '../lib/schema';
import { Filter, ListBody, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Time } from '../ui/parts';
import { sourceTabs } from './source-edit';
import { inTabs } from './sources';

const of = 'webhook_messages';
const refresh_ms = 5000;
export default function Messages() {
  const source = query.value.get('source');
  const list = useList<WebhookMessage>(entity(of).path, '-created_at', { 'filter[status]': query.value.get('status'), 'filter[source]': source });
  useInterval(list.poll, list.page === 1 ? refresh_ms : null);
  return (
    <>
      <Head title={t('nav.messages')} about={t('messages.about')}><Button icon="refresh" onClick={list.reload}>{t('action.refresh')}</Button></Head>
      {source ? sourceTabs(source, 'messages') : inTabs('messages')}
      <Card>
        <div class="toolbar">
          <Filter name="status" label={fieldLabel(of, 'status')} choices={(field('status', of)?.choices ?? []).map((s) => [s, valueLabel(s)])} />
          {source && <Link to="/webhooks/messages">{t('messages.all_sources')}</Link>}
        </div>
        <ListBody
          list={list} label={t('nav.messages')}
          columns={[
            { id: 'event', label: fieldLabel(of, 'event'), main: true, show: (m) => <Link class="strong" to={`/webhooks/messages/${m.id}`}>{m.event ?? t('messages.no_event')}</Link> },
            { id: 'provider', label: fieldLabel(of, 'provider'), show: (m) => providerLabel(m.provider) },
            { id: 'source', label: fieldLabel(of, 'source'), show: (m) => (m.source ? <Link to={`/webhooks/sources/${m.source.id}`}>#{m.source.id}</Link> : '–') },
            { id: 'status', label: fieldLabel(of, 'status'), show: (m) => <Badge of={m.status} /> },
            { id: 'attempts', label: fieldLabel(of, 'attempts'), right: true, show: (m) => m.attempts },
            { id: 'size_bytes', label: fieldLabel(of, 'size_bytes'), right: true, show: (m) => bytes(m.size_bytes) },
            { id: 'error', label: t('field.error'), show: (m) => (m.error ? <span class="clip" title={m.error}>{m.error}</span> : '–') },
            { id: 'created_at', label: t('field.created_at'), sort: true, show: (m) => <Time at={m.created_at} /> },
          ]}
          empty={<Empty icon="inbox" title={t('messages.none')}>{t('messages.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
