// The request log with its filters, and its end as it grows.
import { useEffect, useState } from 'preact/hooks';
import type { ApiRequest } from '~api';
import { bytes, exact, language, t } from '../lib/i18n';
import { query, setQuery } from '../lib/router';
import { may } from '../lib/session';
import { RefName } from '../ui/inputs';
import { type Column, Filter, ListBody, Search, Table, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Note } from '../ui/parts';
import { absent, duration } from '../ui/traffic';

const live_rows_max = 200;
type Row = Omit<ApiRequest, 'id'> & { id: number | string };

const clockTime = (iso: string): string => new Date(iso).toLocaleTimeString(language.value === 'de' ? 'de-DE' : 'en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 });
const tone = (status: number): 'good' | 'warn' | 'bad' | 'info' => (status >= 500 ? 'bad' : status >= 400 ? 'warn' : status >= 300 ? 'info' : 'good');

function Who({ of: r }: { of: Row }) {
  if (r.key) return may('keys:read') ? <RefName of="api_keys" id={r.key.id} /> : <span>{t('traffic.key', { id: String(r.key.id) })}</span>;
  if (r.client) return <span>{t('traffic.client', { id: String(r.client.id) })}</span>;
  if (r.user && may('users:read')) return <RefName of="users" id={r.user.id} />;
  return <span class="quiet">{t(r.consumer === 'session' ? 'traffic.session' : 'traffic.anonymous')}</span>;
}
function Took({ of: r }: { of: Row }) {
  return <span title={t('requests.split', { queue: duration(r.queue_us), db: duration(r.db_us) })}>{duration(r.total_us)}</span>;
}
const columns = (): Array<Column<Row>> => [
  { id: 'at', label: t('requests.at'), sort: true, show: (r) => <time class="nowrap num" dateTime={r.at} title={exact(r.at)}>{clockTime(r.at)}</time> },
  { id: 'route', label: t('traffic.route'), main: true, show: (r) => <><b>{r.method}</b> {r.route}</> },
  { id: 'status', label: t('requests.status'), show: (r) => <><Badge of={String(r.status)} tone={tone(r.status)} />{r.problem && <span class="quiet"> {r.problem}</span>}</> },
  { id: 'total_us', label: t('requests.took'), right: true, show: (r) => <Took of={r} /> },
  { id: 'bytes_out', label: t('requests.size'), right: true, show: (r) => bytes(r.bytes_out) },
  { id: 'key', label: t('traffic.consumer'), show: (r) => <Who of={r} /> },
  { id: 'agent', label: t('requests.agent'), show: (r) => <span class="quiet">{r.agent}{r.country ? ` · ${r.country}` : ''}</span> },
  { id: 'program', label: t('requests.program'), show: (r) => <span class="quiet">{r.program}</span> },
];

/** What comes in while it is looked at; the newest first. */
function Live({ minStatus, minUs }: { minStatus: string | null; minUs: string | null }) {
  const [rows, setRows] = useState<Row[]>([]);
  const [state, setState] = useState<'joining' | 'ready' | 'away'>('joining');
  const [lost, setLost] = useState(0);
  useEffect(() => {
    const ask = new URLSearchParams();
    if (minStatus) ask.set('min_status', minStatus);
    if (minUs) ask.set('min_us', minUs);
    const source = new EventSource(`/api/v2/analytics/tail?${ask.toString()}`);
    let n = 0;
    source.addEventListener('ready', () => setState('ready'));
    source.addEventListener('request', (e) => {
      const row = { ...(JSON.parse((e as MessageEvent<string>).data) as Row), id: `live-${++n}` };
      setRows((before) => [row, ...before].slice(0, live_rows_max));
    });
    source.addEventListener('dropped', (e) => setLost((before) => before + (JSON.parse((e as MessageEvent<string>).data) as { n: number }).n));
    source.onerror = () => setState(source.readyState === EventSource.CLOSED ? 'away' : 'joining');
    return () => source.close();
  }, [minStatus, minUs]);
  return (
    <div data-live={state}>
      <div class="pad" role="status">
        {state === 'away' ? <Note kind="bad">{t('requests.live_away')}</Note> : <span class="quiet">{t(state === 'ready' ? 'requests.live_ready' : 'requests.live_joining')}{lost > 0 && ` ${t('requests.live_lost', { n: lost })}`}</span>}
      </div>
      {rows.length > 0 && <Table label={t('requests.live')} columns={columns()} rows={rows} />}
    </div>
  );
}
const ms_per_us = 1000;
export default function Requests() {
  const [live, setLive] = useState(false);
  const q = query.value;
  const status = q.get('status');
  const slow = q.get('slower');
  const minUs = slow ? String(Number(slow) * ms_per_us) : null;
  const list = useList<Row>('/api/v2/analytics/requests', '-at', {
    'filter[status][gte]': status, 'filter[total_us][gte]': minUs, 'filter[route]': q.get('route'), 'filter[method]': q.get('method'),
    'filter[program]': q.get('program'), 'filter[key]': q.get('key'), 'filter[request_id]': q.get('request_id'),
  });
  const narrowed = ['route', 'method', 'program', 'key', 'request_id'].filter((n) => q.get(n));
  return (
    <>
      <Head title={t('nav.requests')} about={t('requests.about')}>
        <Button icon={live ? 'close' : 'play'} aria-pressed={live} onClick={() => setLive(!live)}>{live ? t('requests.stop') : t('requests.tail')}</Button>
      </Head>
      {list.error && absent(list.error.status) && !list.data ? <Card><Empty icon="info" title={t('auto.absent')}>{t('traffic.absent')}</Empty></Card> : (
        <Card>
          <div class="toolbar">
            <Filter name="status" label={t('requests.status')} choices={[['400', t('requests.failed')], ['500', t('requests.ours')]]} />
            <Filter name="slower" label={t('requests.took')} choices={['100', '500', '1000', '5000'].map((v) => [v, t('requests.slower', { of: duration(Number(v) * ms_per_us) })])} />
            <Filter name="program" label={t('requests.program')} choices={['api', 'auth', 'webhooks-out', 'webhooks-in', 'analytics'].map((v) => [v, v])} />
            <Search name="route" label={t('requests.route')} />
            <Search name="request_id" label={t('requests.id')} />
            {narrowed.length > 0 && <Button small kind="plain" icon="close" onClick={() => setQuery(Object.fromEntries(narrowed.map((n) => [n, null])))}>{t('requests.everything')}</Button>}
          </div>
          {live ? <Live minStatus={status} minUs={minUs} /> : <ListBody list={list} label={t('nav.requests')} columns={columns()} empty={<Empty icon="list" title={t('requests.none')}>{t('requests.none_about')}</Empty>} />}
        </Card>
      )}
    </>
  );
}
