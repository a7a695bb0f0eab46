// Who did what with keys, clients, people, sessions and rights, a day after the other.
import type { AuditEntry } from '~api';
import { day, exact, t, tr } from '../lib/i18n';
import { query, setQuery } from '../lib/router';
import { entity } from '../lib/schema';
import { Actor, Subject } from '../ui/actor';
import { browserOf } from '../ui/browsers';
import { type IconName, Icon } from '../ui/icons';
import { Ref } from '../ui/inputs';
import { Filter, Pager, Search, useList } from '../ui/list';
import { Bones, Card, Code, Empty, Facts, FailureNote, Head, Time, pretty } from '../ui/parts';

const of = 'audit_entries';
// What it is about, by the beginning of its type; and what speaks of somebody who should not be there.
const kinds: Record<string, IconName> = { key: 'key', client: 'app', grant: 'shield', login: 'lock', session: 'device', password: 'lock', totp: 'shield', user: 'person', policy: 'gear', webhook: 'in' };
const refusals = ['login.failed', 'login.locked', 'key.denied', 'client.denied', 'session.denied', 'client.locked', 'totp.refused', 'password.refused', 'grant.reused'];
const ends = ['key.revoked', 'key.expired', 'client.revoked', 'grant.revoked', 'session.ended', 'totp.disabled', 'password.revoked'];
const tone = (type: string): string => (refusals.includes(type) ? 'bad' : ends.includes(type) ? 'warn' : '');
const kindOf = (type: string): string => type.slice(0, type.indexOf('.'));

function Entry({ e }: { e: AuditEntry }) {
  const empty = !Object.keys(e.data ?? {}).length;
  return (
    <li class="event" data-type={e.type}>
      <span class={`mark ${tone(e.type)}`}><Icon name={kinds[kindOf(e.type)] ?? 'info'} /></span>
      <div class="grow">
        <b>{tr('audit.type', e.type)}</b>{!(e.actor ?? '').split(' ').includes(e.subject) && <> <Subject of={e.subject} /></>}
        <div class="quiet">
          <Actor of={e.actor} />{e.address && <> · {e.address}</>}{e.agent && <> · <span title={e.agent}>{browserOf(e.agent)}</span></>}
        </div>
        <details>
          <summary>{t('audit.more')}</summary>
          <Facts rows={[
            [t('audit.when'), exact(e.created_at)], [t('field.type'), <code>{e.type}</code>], [t('field.actor'), <code class="break">{e.actor ?? '–'}</code>],
            [t('audit.subject'), <code class="break">{e.subject}</code>], [t('field.agent'), e.agent], [t('audit.request'), e.request_id && <code class="break">{e.request_id}</code>],
          ]} />
          {!empty && <Code label={t('audit.data')}>{pretty(e.data)}</Code>}
        </details>
      </div>
      <Time at={e.created_at} />
    </li>
  );
}
export default function Audit() {
  const q = query.value;
  const kind = q.get('kind');
  const user = q.get('user');
  const list = useList<AuditEntry>(entity(of).path, '-id', {
    ...(kind === 'refused' ? { 'filter[type][in]': refusals.join(',') } : kind ? { 'filter[type][contains]': `${kind}.` } : {}),
    'filter[user]': user, 'filter[address]': q.get('address'),
  });
  const days = new Map<string, AuditEntry[]>();
  for (const e of list.data ?? []) days.set(day(e.created_at), [...(days.get(day(e.created_at)) ?? []), e]);
  return (
    <>
      <Head title={t('nav.audit')} about={t('audit.about')} />
      <Card>
        <div class="toolbar">
          <Filter name="kind" label={t('audit.kinds')} choices={[['refused', t('audit.refused')], ...Object.keys(kinds).map((k) => [k, tr('audit.kind', k)] as [string, string])]} />
          <Search name="address" label={t('audit.address')} />
          <div class="grow"><Ref label={t('audit.person')} of="users" value={user ? { id: Number(user) } : null} onChange={(v) => setQuery({ user: v ? String(v.id) : null, page: null })} /></div>
        </div>
        {list.error && !list.data ? <div class="pad"><FailureNote failure={list.error} retry={list.reload} /></div> : !list.data ? <Bones lines={8} /> : list.data.length ? (
          <div aria-busy={list.loading}>
            {[...days].map(([name, entries]) => (
              <section key={name}>
                <h2 class="day">{name}</h2>
                <ul class="list">{entries.map((e) => <Entry key={e.id} e={e} />)}</ul>
              </section>
            ))}
            <Pager meta={list.answer?.meta ?? {}} page={list.page} rows={list.data.length} />
          </div>
        ) : <Empty icon="lock" title={kind || user || q.get('address') ? t('content.no_match') : t('audit.none')} />}
      </Card>
    </>
  );
}
