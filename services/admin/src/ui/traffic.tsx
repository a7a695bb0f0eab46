// Traffic, errors and latency: what the dashboard and the page of traffic share.  Without the analytics program they say so.
import { useMemo } from 'preact/hooks';
import { number, t } from '../lib/i18n';
import { useGet, useInterval } from '../lib/query';
import { Link } from '../lib/router';
import { Chart } from './chart';
import { Card, FailureNote, Note } from './parts';

export interface Totals {
  requests: number;
  client_errors: number;
  server_errors: number;
  limited: number;
  error_ppm: number;
  bytes_in: number;
  bytes_out: number;
  mean_us: number;
  queue_us: number;
  db_us: number;
  p50_us: number;
  p95_us: number;
  p99_us: number;
  max_us: number;
}
export interface Overview extends Totals {
  not_recorded: number;
  open_anomalies: number;
  before: Totals;
}
export interface Series {
  step_s: number;
  points: Array<Totals & { at: string }>;
}
/** Is this the answer of an installation without the analytics program? */
export const absent = (status: number): boolean => status === 404 || status === 502 || status === 503;

const fine = (v: number): number => (v >= 100 ? Math.round(v) : v >= 10 ? Math.round(v * 10) / 10 : Math.round(v * 100) / 100);
/** Microseconds for people. */
export const duration = (us: number): string => (us < 1000 ? `${number(us)} µs` : us < 1e6 ? `${number(fine(us / 1000))} ms` : `${number(fine(us / 1e6))} s`);
export const percent = (ppm: number): string => `${number(fine(ppm / 1e4))} %`;

const refresh_ms = 15_000;
const times_min = 10; // from here on a percentage says little
const change = (now: number, before: number): string => {
  if (!before) return t('traffic.none_before');
  if (now === before) return t('traffic.same');
  if (now > times_min * before) return t('traffic.times', { n: Math.round(now / before) });
  const p = Math.round((100 * (now - before)) / before);
  return t(p >= 0 ? 'traffic.more' : 'traffic.less', { p: Math.abs(p) });
};
/** Without an answer yet they are as large as with it, so that nothing moves when it comes. */
export function Tiles({ of: o }: { of: Overview | null }) {
  const tile = (label: string, value: (o: Overview) => string, about: (o: Overview) => string, bad?: (o: Overview) => boolean, to?: string) => {
    const inner = (
      <>
        <span>{label}</span>
        <b>{o ? value(o) : '…'}</b>
        <small>{o ? about(o) : '\u00a0'}</small>
      </>
    );
    const style = `card stat ${o && bad?.(o) ? 'bad' : ''}`;
    return to ? <Link to={to} class={style}>{inner}</Link> : <div class={style}>{inner}</div>;
  };
  return (
    <div class="grid4" aria-busy={!o}>
      {tile(t('traffic.requests'), (n) => number(n.requests), (n) => change(n.requests, n.before.requests))}
      {tile(t('traffic.errors'), (n) => percent(n.error_ppm), (n) => t('traffic.of_them', { n: n.server_errors }), (n) => n.server_errors > 0)}
      {tile(t('traffic.p95'), (n) => duration(n.p95_us), (n) => t('traffic.median', { of: duration(n.p50_us) }))}
      {tile(t('traffic.database'), (n) => duration(n.db_us), (n) => t('traffic.of_mean', { of: duration(n.mean_us) }))}
      {tile(t('traffic.limited'), (n) => number(n.limited), () => t('traffic.limited_about'))}
      {tile(t('traffic.unusual'), (n) => number(n.open_anomalies), (n) => t(n.open_anomalies ? 'traffic.unusual_open' : 'traffic.unusual_none'), (n) => n.open_anomalies > 0, '/operations/anomalies?status=open')}
    </div>
  );
}
const ms = (v: number): string => duration(Math.round(v * 1000));
const no_points: Series['points'] = [];
export function Charts({ of: s, latency }: { of: Series | null; latency?: boolean }) {
  const points = s?.points ?? no_points;
  const { at, volume, time } = useMemo(() => ({
    at: points.map((p) => Date.parse(p.at) / 1000),
    volume: [
      { label: t('traffic.requests'), values: points.map((p) => p.requests), colour: 1 as const, fill: true },
      { label: t('traffic.client_errors'), values: points.map((p) => p.client_errors), colour: 3 as const },
      { label: t('traffic.server_errors'), values: points.map((p) => p.server_errors), colour: 2 as const },
    ],
    time: [
      { label: 'p50', values: points.map((p) => (p.requests ? p.p50_us / 1000 : null)), colour: 1 as const },
      { label: 'p95', values: points.map((p) => (p.requests ? p.p95_us / 1000 : null)), colour: 3 as const },
      { label: 'p99', values: points.map((p) => (p.requests ? p.p99_us / 1000 : null)), colour: 2 as const },
    ],
  }), [points]);
  const total = points.reduce((n, p) => n + p.requests, 0);
  const slowest = Math.max(0, ...points.map((p) => p.p95_us));
  return (
    <div class="grid2">
      <Chart label={s ? t('traffic.chart_requests', { n: total }) : t('state.loading')} at={at} lines={volume} />
      {latency && <Chart label={s ? t('traffic.chart_latency', { of: duration(slowest) }) : t('state.loading')} at={at} lines={time} show={ms} />}
    </div>
  );
}
/** Of the dashboard. */
export function Traffic() {
  const overview = useGet<Overview>('/api/v2/analytics/overview', { window: '24h' });
  const series = useGet<Series>('/api/v2/analytics/series', { window: '24h', step: '15m' });
  useInterval(() => [overview, series].forEach((l) => l.poll()), refresh_ms);
  const failed = overview.error ?? series.error;
  return (
    <Card title={t('traffic.title')} pad actions={<Link to="/operations/traffic">{t('traffic.all')}</Link>}>
      {failed && !overview.data ? absent(failed.status) ? <Note>{t('traffic.absent')}</Note> : <FailureNote failure={failed} retry={() => { overview.reload(); series.reload(); }} /> : (
        <div class="stack">
          <Tiles of={overview.data} />
          <Charts of={series.data} latency />
        </div>
      )}
    </Card>
  );
}
