// Sources of incoming webhooks.
import type { WebhookSource } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { providerLabel } from '../lib/providers';
import { Link, query } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { RefName } from '../ui/inputs';
import { Filter, ListBody, Search, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Tabs, Time } from '../ui/parts';

const of = 'webhook_sources';
export const inTabs = (here: 'sources' | 'messages') => (
  <Tabs items={[{ to: '/webhooks/sources', text: t('nav.sources'), here: here === 'sources' }, { to: '/webhooks/messages', text: t('nav.messages'), here: here === 'messages' }]} />
);
export default function Sources() {
  const q = query.value.get('q');
  const list = useList<WebhookSource>(entity(of).path, '-created_at', { 'filter[status]': query.value.get('status'), 'filter[name][contains]': q });
  const make = may('webhooks:write') ? <Button kind="primary" icon="plus" to="/webhooks/sources/new">{t('sources.new')}</Button> : undefined;
  return (
    <>
      <Head title={t('nav.sources')} about={t('sources.about')}>{make}</Head>
      {inTabs('sources')}
      <Card>
        <div class="toolbar">
          <Search label={t('sources.search')} />
          <Filter name="status" label={fieldLabel(of, 'status')} choices={['active', 'paused'].map((s) => [s, valueLabel(s)])} />
        </div>
        <ListBody
          list={list} label={t('nav.sources')}
          columns={[
            { id: 'name', label: fieldLabel(of, 'name'), main: true, sort: true, show: (s) => <Link class="strong" to={`/webhooks/sources/${s.id}`}>{s.name}</Link> },
            { id: 'status', label: fieldLabel(of, 'status'), show: (s) => <Badge of={s.status} /> },
            { id: 'provider', label: fieldLabel(of, 'provider'), show: (s) => providerLabel(s.provider) },
            { id: 'path', label: fieldLabel(of, 'path'), show: (s) => <code>{s.path}</code> },
            { id: 'user', label: fieldLabel(of, 'user'), show: (s) => (s.user ? <RefName of="users" id={s.user.id} /> : '–') },
            { id: 'mapping_version', label: fieldLabel(of, 'mapping'), show: (s) => <Link to={`/webhooks/sources/${s.id}/mapping`}>{s.mapping_version ? t('sources.mapping_version', { n: s.mapping_version }) : t('sources.no_mapping')}</Link> },
            { id: 'created_at', label: t('field.created_at'), sort: true, show: (s) => <Time at={s.created_at} /> },
          ]}
          empty={q || query.value.get('status') ? <Empty icon="search" title={t('content.no_match')}>{t('content.no_match_about')}</Empty> : <Empty icon="in" title={t('sources.none')} action={make}>{t('sources.none_about')}</Empty>}
        />
      </Card>
    </>
  );
}
