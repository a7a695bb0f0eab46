// What is going on, in ten seconds.
import { useEffect, useState } from 'preact/hooks';
import type { WebhookDelivery, WebhookMessage } from '~api';
import { t, tr } from '../lib/i18n';
import { type Health, probe, programs } from '../lib/programs';
import { type Loaded, useGet, useInterval } from '../lib/query';
import { Link } from '../lib/router';
import { titleOf } from '../lib/schema';
import { may } from '../lib/session';
import { Badge, Bones, Button, Card, Empty, FailureNote, Head, Time } from '../ui/parts';
import { Traffic } from '../ui/traffic';

const refresh_ms = 15_000;
const one = { limit: 1, fields: 'id' };

function Stat({ of, label, to, bad, about }: { of: Loaded<unknown>; label: string; to: string; bad?: boolean; about?: string }) {
  const n = of.answer?.meta.total;
  return (
    <Link to={to} class={`card stat ${bad && n ? 'bad' : ''}`}>
      <span>{label}</span>
      <b>{typeof n === 'number' ? n.toLocaleString() : of.error ? '–' : '…'}</b>
      {about && <small>{about}</small>}
    </Link>
  );
}

function Programs() {
  const [health, setHealth] = useState<Record<string, Health>>({});
  const look = (): void => {
    for (const p of programs) void probe(p).then((h) => setHealth((now) => ({ ...now, [p.name]: h })));
  };
  useEffect(look, []);
  useInterval(look, refresh_ms);
  return (
    <Card title={t('dashboard.programs')} actions={<Button small kind="plain" icon="refresh" onClick={look}>{t('action.refresh')}</Button>}>
      <ul class="list">
        {programs.map((p) => {
          const h = health[p.name];
          return (
            <li key={p.name} data-program={p.name} data-state={h?.state ?? 'asked'}>
              <span class={`dot ${h?.state === 'ok' ? 'good' : h?.state === 'away' || h?.state === 'unknown' ? 'bad' : ''}`} />
              <span class="grow">
                <b>{p.name}</b> <span class="quiet">{tr('program', p.name)}</span>
              </span>
              <span class="quiet num nowrap">{!h ? t('state.asking') : h.state === 'ok' ? t('dashboard.answers', { ms: h.ms }) : t(`dashboard.${h.state}`)}</span>
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

type Changed = Record<string, unknown> & { id: number; updated_at: string; status?: string };
const followed = ['posts', 'pages', 'events'] as const;
const recent_rows_max = 8;
function Recent() {
  const ask = { sort: '-updated_at', limit: recent_rows_max, count: 'none', fields: 'id,title,status,updated_at' };
  const lists = followed.map((of) => ({ of, list: useGet<Changed[]>(`/api/v2/${of}`, ask) }));
  const failed = lists.find((l) => l.list.error)?.list;
  const rows = lists.flatMap(({ of, list }) => (list.data ?? []).map((row) => ({ of, row }))).sort((a, b) => b.row.updated_at.localeCompare(a.row.updated_at)).slice(0, recent_rows_max);
  return (
    <Card title={t('dashboard.recent')} actions={<Link to="/content/posts">{t('dashboard.all_posts')}</Link>}>
      {failed?.error ? <div class="pad"><FailureNote failure={failed.error} retry={failed.reload} /></div> : rows.length ? (
        <ul class="list">
          {rows.map(({ of, row }) => (
            <li key={`${of}/${row.id}`}>
              <Link class="grow" to={`/content/${of}/${row.id}`}>{titleOf(of, row)}</Link>
              <span class="quiet">{tr('entity.one', of)}</span>
              {row.status && <Badge of={row.status} />}
              <Time at={row.updated_at} />
            </li>
          ))}
        </ul>
      ) : lists.some((l) => l.list.loading) ? <Bones lines={recent_rows_max} rows /> : <Empty icon="doc" title={t('dashboard.nothing')} action={<Button kind="primary" icon="plus" to="/content/posts/new">{t('dashboard.first_post')}</Button>}>{t('dashboard.nothing_about')}</Empty>}
    </Card>
  );
}

const trouble_rows_max = 6;
function Trouble() {
  const out = useGet<WebhookDelivery[]>('/api/v2/webhooks/deliveries', { 'filter[status]': 'dead', limit: trouble_rows_max, count: 'none' });
  const inn = useGet<WebhookMessage[]>('/api/v2/webhook-messages', { 'filter[status]': 'dead', limit: trouble_rows_max, count: 'none' });
  const failure = out.error ?? inn.error;
  const rows = [
    ...(out.data ?? []).map((d) => ({ key: d.id, to: `/webhooks/deliveries/${d.id}`, what: d.event, why: d.last_error, at: d.updated_at, way: t('dashboard.out') })),
    ...(inn.data ?? []).map((m) => ({ key: m.id, to: `/webhooks/messages/${m.id}`, what: m.event ?? m.provider, why: m.error, at: m.updated_at, way: t('dashboard.in') })),
  ].sort((a, b) => b.at.localeCompare(a.at)).slice(0, trouble_rows_max);
  return (
    <Card title={t('dashboard.dead')}>
      {failure ? <div class="pad"><FailureNote failure={failure} retry={() => { out.reload(); inn.reload(); }} /></div> : rows.length ? (
        <ul class="list">
          {rows.map((r) => (
            <li key={r.key}>
              <span class="grow"><Link to={r.to}>{r.what}</Link> <span class="quiet">{r.why}</span></span>
              <span class="quiet nowrap">{r.way}</span>
              <Time at={r.at} />
            </li>
          ))}
        </ul>
      ) : out.loading || inn.loading ? <Bones lines={3} rows /> : <Empty icon="check" title={t('dashboard.no_dead')}>{t('dashboard.no_dead_about')}</Empty>}
    </Card>
  );
}

export default function Dashboard() {
  const drafts = useGet('/api/v2/posts', { ...one, 'filter[status]': 'draft' });
  const soon = useGet('/api/v2/posts', { ...one, 'filter[status]': 'scheduled' });
  const waiting = useGet('/api/v2/webhooks/deliveries', { ...one, 'filter[status][in]': 'pending,failed' });
  const dead = useGet('/api/v2/webhooks/deliveries', { ...one, 'filter[status]': 'dead' });
  const deadIn = useGet('/api/v2/webhook-messages', { ...one, 'filter[status]': 'dead' });
  useInterval(() => [waiting, dead, deadIn].forEach((l) => l.poll()), refresh_ms);
  return (
    <>
      <Head title={t('nav.dashboard')} about={t('dashboard.about')}>
        <Button icon="plus" kind="primary" to="/content/posts/new">{t('dashboard.new_post')}</Button>
      </Head>
      <div class="stack">
        <div class="grid4">
          <Stat of={drafts} label={t('dashboard.drafts')} to="/content/posts?status=draft" />
          <Stat of={soon} label={t('dashboard.scheduled')} to="/content/posts?status=scheduled" />
          {may('webhooks:read') && <Stat of={waiting} label={t('dashboard.waiting')} to="/webhooks/deliveries" about={t('dashboard.waiting_about')} />}
          {may('webhooks:read') && <Stat of={dead} label={t('dashboard.dead_out')} to="/webhooks/deliveries?status=dead" bad />}
          {may('webhooks:read') && <Stat of={deadIn} label={t('dashboard.dead_in')} to="/webhooks/messages?status=dead" bad />}
        </div>
        {may('analytics:read') && <Traffic />}
        <div class="grid2">
          <Recent />
          <div class="stack">
            <Programs />
            {may('webhooks:read') && <Trouble />}
          </div>
        </div>
      </div>
    </>
  );
}
