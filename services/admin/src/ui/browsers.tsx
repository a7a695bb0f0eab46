// Where people are signed in, and signing them out there.
import { useState } from 'preact/hooks';
import type { AuthSession } from '~api';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import { has } from '../lib/schema';
import { confirm } from './dialog';
import { RefName } from './inputs';
import { type Column, ListBody, useList } from './list';
import { Badge, Button, Empty, Time } from './parts';
import { toast } from './toast';

const of = 'auth_sessions';
const path = '/api/v2/auth/sessions';
type Session = AuthSession & { current?: boolean };
/** What a browser calls itself, as people call it: "Firefox on Linux". */
export function browserOf(agent: string | null | undefined): string {
  const a = agent ?? '';
  const pick = (rows: Array<[RegExp, string]>): string | undefined => rows.find(([r]) => r.test(a))?.[1];
  const name = pick([[/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/Firefox\//, 'Firefox'], [/HeadlessChrome|Chrome\//, 'Chrome'], [/Safari\//, 'Safari']]);
  const on = pick([[/Android/, 'Android'], [/iPhone|iPad/, 'iOS'], [/Windows/, 'Windows'], [/Mac OS X/, 'macOS'], [/Linux/, 'Linux']]);
  if (!name) return a.split(' ')[0] || '–';
  return on ? t('sessions.browser', { name, on }) : name;
}
/** `user`: of that person alone; else of all that the reader may see. */
export function Browsers({ user }: { user?: number }) {
  const [now] = useState(() => new Date().toISOString());
  const list = useList<Session>(path, '-last_seen_at', { 'filter[revoked_at][null]': true, 'filter[expires_at][gt]': now, ...(user ? { 'filter[user]': user } : {}) });
  const end = (title: string, at: string, method: 'DELETE' | 'POST'): void => confirm({
    title, text: t('sessions.end_about'), yes: t('sessions.end'), danger: true,
    run: async () => {
      await call(method, at);
      toast(t('sessions.ended'));
      list.reload();
    },
  });
  const columns: Array<Column<Session>> = [
    { id: 'agent', label: fieldLabel(of, 'agent'), main: true, show: (s) => <span title={s.agent ?? ''}><b>{browserOf(s.agent)}</b> {s.current && <Badge of="current" tone="good" />}</span> },
    ...(user ? [] : [{ id: 'user', label: fieldLabel(of, 'user'), show: (s: Session) => (s.user ? <RefName of="users" id={s.user.id} /> : '–') }]),
    { id: 'address', label: fieldLabel(of, 'address'), show: (s) => s.last_seen_address ?? s.address ?? '–' },
    { id: 'last_seen_at', label: fieldLabel(of, 'last_seen_at'), sort: true, show: (s) => <Time at={s.last_seen_at} /> },
    { id: 'created_at', label: t('sessions.since'), sort: true, show: (s) => <Time at={s.created_at} /> },
    { id: 'do', label: '', right: true, show: (s) => !s.current && <Button small kind="danger" onClick={() => end(t('sessions.end_title'), `${path}/${s.id}`, 'DELETE')}>{t('sessions.end')}</Button> },
  ];
  return (
    <>
      {user !== undefined && has(`POST ${path}/end-others`) && (list.data?.length ?? 0) > 1 && (
        <div class="toolbar"><Button small kind="danger" onClick={() => end(t('sessions.end_others'), `${path}/end-others`, 'POST')}>{t('sessions.end_others')}</Button></div>
      )}
      <ListBody list={list} label={t('nav.sessions')} columns={columns} empty={<Empty icon="device" title={t('sessions.none')} />} />
    </>
  );
}
