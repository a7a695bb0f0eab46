// What the API does and who does it: a window in numbers, over time, by route and by credential.
import { number, t, type Message } from '../lib/i18n';
import { useGet, useInterval } from '../lib/query';
import { Link, query, setQuery } from '../lib/router';
import { may } from '../lib/session';
import { RefName } from '../ui/inputs';
import { type Column, Table } from '../ui/list';
import { Bones, Card, Empty, FailureNote, Head, Note } from '../ui/parts';
import { Charts, type Overview, type Series, Tiles, type Totals, absent, duration, percent } from '../ui/traffic';

const windows = ['1h', '24h', '7d', '30d', '90d'] as const;
const orders = ['requests', 'error_rate', 'p95', 'time', 'limited'] as const;
const refresh_ms = 15_000;
const rows_max = 10;

interface RouteRow extends Totals {
  program: string;
  method: string;
  route: string;
}
interface ConsumerRow extends Totals {
  consumer: 'anonymous' | 'key' | 'client' | 'session';
  key: { id: number } | null;
  client: { id: number } | null;
  user: { id: number } | null;
}
const numbers = <R extends Totals & { id: string }>(): Array<Column<R>> => [
  { id: 'requests', label: t('traffic.requests'), right: true, show: (r) => number(r.requests) },
  { id: 'errors', label: t('traffic.errors'), right: true, show: (r) => percent(r.error_ppm) },
  { id: 'p50', label: 'p50', right: true, show: (r) => duration(r.p50_us) },
  { id: 'p95', label: 'p95', right: true, show: (r) => duration(r.p95_us) },
  { id: 'p99', label: 'p99', right: true, show: (r) => duration(r.p99_us) },
  { id: 'db', label: t('traffic.database'), right: true, show: (r) => duration(r.db_us) },
];
function Select({ name, label, choices, fallback, text }: { name: string; label: string; choices: readonly string[]; fallback: string; text: (v: string) => string }) {
  return (
    <select class="input narrow" aria-label={label} value={query.value.get(name) ?? fallback} onChange={(e) => setQuery({ [name]: e.currentTarget.value === fallback ? null : e.currentTarget.value })}>
      {choices.map((c) => <option key={c} value={c}>{text(c)}</option>)}
    </select>
  );
}
const orderText = (v: string): string => t(`traffic.by_${v}` as Message);

function Who({ of: r }: { of: ConsumerRow }) {
  const person = r.user && may('users:read') ? <RefName of="users" id={r.user.id} /> : null;
  if (r.key) return <span><Link class="strong" to={`/access/keys/${r.key.id}`}>{t('traffic.key', { id: String(r.key.id) })}</Link>{person && <> · {person}</>}</span>;
  if (r.client) return <span><Link class="strong" to={`/access/clients/${r.client.id}`}>{t('traffic.client', { id: String(r.client.id) })}</Link>{person && <> · {person}</>}</span>;
  return r.consumer === 'session' ? <span>{t('traffic.session')}{person && <> · {person}</>}</span> : <span>{t('traffic.anonymous')}</span>;
}
export default function TrafficPage() {
  const window = query.value.get('window') ?? '24h';
  const sort = query.value.get('sort') ?? 'requests';
  const overview = useGet<Overview>('/api/v2/analytics/overview', { window });
  const series = useGet<Series>('/api/v2/analytics/series', { window });
  const routes = useGet<RouteRow[]>('/api/v2/analytics/routes', { window, sort, limit: rows_max });
  const consumers = useGet<ConsumerRow[]>('/api/v2/analytics/consumers', { window, sort, limit: rows_max });
  const all = [overview, series, routes, consumers];
  useInterval(() => all.forEach((l) => l.poll()), refresh_ms);
  const failed = all.find((l) => l.error)?.error;
  const routeColumns: Array<Column<RouteRow & { id: string }>> = [
    { id: 'route', label: t('traffic.route'), main: true, show: (r) => <Link class="strong" to={`/operations/requests?route=${encodeURIComponent(r.route)}&method=${r.method}`}>{r.method} {r.route}</Link> },
    ...numbers<RouteRow & { id: string }>(),
  ];
  const whoColumns: Array<Column<ConsumerRow & { id: string }>> = [
    { id: 'consumer', label: t('traffic.consumer'), main: true, show: (r) => <Who of={r} /> },
    ...numbers<ConsumerRow & { id: string }>(),
  ];
  return (
    <>
      <Head title={t('nav.traffic')} about={t('traffic.about')}>
        <Select name="window" label={t('traffic.window')} choices={windows} fallback="24h" text={(v) => t(`traffic.window_${v}` as Message)} />
      </Head>
      {failed && !overview.data ? absent(failed.status) ? <Card><Empty icon="info" title={t('auto.absent')}>{t('traffic.absent')}</Empty></Card> : <FailureNote failure={failed} retry={() => all.forEach((l) => l.reload())} /> : (
        <div class="stack">
          {overview.data && overview.data.not_recorded > 0 && <Note kind="warn">{t('traffic.lost', { n: overview.data.not_recorded })}</Note>}
          <Tiles of={overview.data} />
          <Card title={t('traffic.over_time')} pad><Charts of={series.data} latency /></Card>
          <div class="row spread">
            <span class="quiet">{t('traffic.top')}</span>
            <Select name="sort" label={t('traffic.sort')} choices={orders} fallback="requests" text={orderText} />
          </div>
          <Card title={t('traffic.routes')}>
            {!routes.data ? <Bones /> : routes.data.length ? <Table label={t('traffic.routes')} columns={routeColumns} rows={routes.data.map((r) => ({ ...r, id: `${r.program} ${r.method} ${r.route}` }))} /> : <Empty icon="pulse" title={t('requests.none')} />}
          </Card>
          <Card title={t('traffic.consumers')}>
            {!consumers.data ? <Bones /> : consumers.data.length ? <Table label={t('traffic.consumers')} columns={whoColumns} rows={consumers.data.map((r) => ({ ...r, id: `${r.consumer} ${r.key?.id ?? r.client?.id ?? ''} ${r.user?.id ?? ''}` }))} /> : <Empty icon="people" title={t('requests.none')} />}
          </Card>
        </div>
      )}
    </>
  );
}
