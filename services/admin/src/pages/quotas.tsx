// What keys and clients may use, what they have used of the month, and who is near the end.
import { dayMonth, number, t } from '../lib/i18n';
import { valueLabel } from '../lib/labels';
import { useGet } from '../lib/query';
import { Link, query } from '../lib/router';
import { RefName } from '../ui/inputs';
import { Filter, Search, Table } from '../ui/list';
import { Bones, Card, Empty, FailureNote, Head, Time } from '../ui/parts';

interface Quota {
  holder: 'key' | 'client';
  id: number;
  name: string;
  user: { id: number };
  rate_limit: number | null;
  quota_monthly: number | null;
  used: number;
  resets_at: string;
  last_used_at: string | null;
}
const near = 0.8; // where the warning is sent
const share = (q: Quota): number => (q.quota_monthly ? Math.min(1, q.used / q.quota_monthly) : 0);
function Used({ of: q }: { of: Quota }) {
  if (!q.quota_monthly) return <span class="quiet">{t('quotas.unlimited')}</span>;
  const part = share(q);
  const text = t('quotas.of', { used: q.used, all: q.quota_monthly });
  return (
    <div class="stack tight">
      <div class={`meter ${part >= 1 ? 'bad' : part >= near ? 'warn' : ''}`} role="meter" aria-label={q.name} aria-valuemin={0} aria-valuemax={q.quota_monthly} aria-valuenow={Math.min(q.used, q.quota_monthly)} aria-valuetext={text}>
        <i style={{ width: `${part * 100}%` }} />
      </div>
      <span class="quiet num">{text}{part >= 1 ? ` · ${t('quotas.over')}` : part >= near ? ` · ${t('quotas.near')}` : ''}</span>
    </div>
  );
}
function Summary({ rows }: { rows: Quota[] }) {
  const with_quota = rows.filter((q) => q.quota_monthly);
  const over = with_quota.filter((q) => share(q) >= 1).length;
  const warn = with_quota.filter((q) => share(q) >= near && share(q) < 1).length;
  const resets = rows[0]?.resets_at;
  return (
    <div class="grid4">
      <div class="card stat"><span>{t('quotas.with')}</span><b>{number(with_quota.length)}</b><small>{t('quotas.with_about', { n: rows.length })}</small></div>
      <div class="card stat"><span>{t('quotas.warned')}</span><b>{number(warn)}</b><small>{t('quotas.warned_about')}</small></div>
      <div class={`card stat ${over ? 'bad' : ''}`}><span>{t('quotas.exceeded')}</span><b>{number(over)}</b><small>{t('quotas.exceeded_about')}</small></div>
      {resets && <div class="card stat"><span>{t('quotas.resets')}</span><b>{dayMonth(resets)}</b><small><Time at={resets} /></small></div>}
    </div>
  );
}
export default function Quotas() {
  const got = useGet<Quota[]>('/api/v2/auth/quotas');
  const q = (query.value.get('q') ?? '').toLowerCase();
  const holder = query.value.get('holder');
  const rows = (got.data ?? []).filter((r) => (!holder || r.holder === holder) && (!q || r.name.toLowerCase().includes(q))).map((r) => ({ ...r, number: r.id, id: `${r.holder}-${r.id}` }));
  return (
    <>
      <Head title={t('nav.quotas')} about={t('quotas.about')} />
      <div class="stack">
        {got.error ? <FailureNote failure={got.error} retry={got.reload} /> : !got.data ? <Bones /> : (
          <>
            <Summary rows={got.data} />
            <Card>
              <div class="toolbar">
                <Search label={t('quotas.search')} />
                <Filter name="holder" label={t('quotas.holder')} choices={['key', 'client'].map((h) => [h, valueLabel(h)])} />
              </div>
              {rows.length ? (
                <Table
                  label={t('nav.quotas')} rows={rows}
                  columns={[
                    { id: 'name', label: t('field.name'), main: true, show: (r) => <><Link class="strong" to={`/access/${r.holder}s/${r.number}`}>{r.name}</Link> <span class="quiet">{valueLabel(r.holder)}</span></> },
                    { id: 'user', label: t('field.user'), show: (r) => <RefName of="users" id={r.user.id} /> },
                    { id: 'rate_limit', label: t('quotas.rate'), right: true, show: (r) => (r.rate_limit ? number(r.rate_limit) : <span class="quiet">{t('quotas.default')}</span>) },
                    { id: 'used', label: t('quotas.used'), show: (r) => <Used of={r as unknown as Quota} /> },
                    { id: 'last_used_at', label: t('field.last_used_at'), show: (r) => <Time at={r.last_used_at} none={r.holder === 'key' ? t('keys.never') : '–'} /> },
                  ]}
                />
              ) : <Empty icon="meter" title={q || holder ? t('content.no_match') : t('keys.none')}>{q || holder ? t('content.no_match_about') : t('keys.none_about')}</Empty>}
            </Card>
          </>
        )}
      </div>
    </>
  );
}
