// The small parts every page is made of.
import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure } from '../lib/api';
import { ago, exact, t, tr } from '../lib/i18n';
import { Link } from '../lib/router';
import { Icon, type IconName } from './icons';
import { toast } from './toast';

type ButtonProps = {
  kind?: 'primary' | 'danger' | 'plain' | '';
  small?: boolean;
  icon?: IconName;
  busy?: boolean;
  to?: string;
  'aria-label'?: string | undefined;
  children?: ComponentChildren;
} & Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'icon' | 'aria-label'>;
export function Button({ kind = '', small, icon, busy, to, children, class: cls, type = 'button', disabled, 'aria-label': label, ...rest }: ButtonProps) {
  const names = ['button', kind, small ? 'small' : '', children ? '' : 'icon', typeof cls === 'string' ? cls : ''].filter(Boolean).join(' ');
  const inside = (
    <>
      {busy ? <Icon name="refresh" class="spin" /> : icon && <Icon name={icon} />}
      {children}
    </>
  );
  if (to) return <Link to={to} class={names} aria-label={label}>{inside}</Link>;
  return (
    <button type={type} class={names} disabled={Boolean(disabled) || busy} aria-label={label} {...rest}>
      {inside}
    </button>
  );
}

export interface Crumb {
  to: string;
  text: string;
}
export function Head({ title, about, crumbs, children }: { title: ComponentChildren; about?: ComponentChildren; crumbs?: Crumb[]; children?: ComponentChildren }) {
  useEffect(() => {
    if (typeof title === 'string') document.title = `${title} · 365CMS`;
  }, [title]);
  return (
    <div class="head">
      <div>
        {crumbs && (
          <nav aria-label={t('shell.breadcrumb')}>
            <ol class="crumbs">
              {crumbs.map((c) => (
                <li key={c.to}>
                  <Link to={c.to}>{c.text}</Link>
                </li>
              ))}
            </ol>
          </nav>
        )}
        <h1>{title}</h1>
        {about && <p>{about}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

export function Card({ title, actions, children, pad, id }: { title?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren; pad?: boolean; id?: string }) {
  return (
    <section class="card" id={id}>
      {(title || actions) && (
        <header>
          {title && <h2>{title}</h2>}
          {actions}
        </header>
      )}
      {pad ? <div class="pad">{children}</div> : children}
    </section>
  );
}

export function Note({ kind = '', children }: { kind?: '' | 'bad' | 'warn' | 'good'; children: ComponentChildren }) {
  const icon: IconName = kind === 'bad' ? 'error' : kind === 'warn' ? 'warn' : kind === 'good' ? 'check' : 'info';
  return (
    <div class={`note ${kind}`} role={kind === 'bad' ? 'alert' : undefined}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  );
}

/** What went wrong, for people: our words by kind of failure, then the server's own. */
export function failureText(f: Failure): string {
  if (f.status === 0) return t('error.network');
  if (f.status >= 500) return t('error.unavailable');
  if (f.status === 403) return `${t('error.forbidden')} ${f.problem.detail}`;
  if (f.status === 404) return t('error.not_found');
  if (f.status === 429) return t('error.rate');
  return f.problem.detail || f.problem.title;
}
export function FailureNote({ failure, retry }: { failure: Failure; retry?: () => void }) {
  return (
    <Note kind="bad">
      <b>{failureText(failure)}</b>
      {failure.problem.errors?.filter((e) => e.detail !== failureText(failure)).map((e) => (
        <div key={e.pointer + e.code}>
          <code>{e.pointer}</code> {e.detail}
        </div>
      ))}
      {failure.problem.request_id && <div class="quiet">{t('error.request', { id: failure.problem.request_id })}</div>}
      {retry && (
        <div class="row">
          <Button small icon="refresh" onClick={retry}>{t('action.retry')}</Button>
        </div>
      )}
    </Note>
  );
}
/** `page`: it is all that the page shows. */
export function Empty({ icon, title, children, action, page }: { icon: IconName; title: string; page?: boolean; children?: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      {page ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}
/** What is to come; with `rows` as high as a list of so many. */
export function Bones({ lines = 5, rows }: { lines?: number; rows?: boolean }) {
  return (
    <div class={rows ? 'bones' : 'stack tight pad'} role="status" aria-label={t('state.loading')}>
      {Array.from({ length: lines }, (_, i) => (
        <div key={i} class="bone" style={{ width: `${92 - ((i * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

const tones: Record<string, 'good' | 'warn' | 'bad' | 'info' | ''> = {
  published: 'good', active: 'good', delivered: 'good', done: 'good', ready: 'good', ok: 'good', created: 'good',
  scheduled: 'info', pending: 'info', accepted: 'info', working: 'info', restored: 'info',
  draft: '', archived: '', inactive: '', ignored: '', canceled: '', updated: '',
  paused: 'warn', held: 'warn', failed: 'warn', expired: 'warn', rotating: 'warn', suspended: 'bad', revoked: 'bad', dead: 'bad', away: 'bad', deleted: 'bad', denied: 'bad',
};
export function Badge({ of, tone }: { of: string; tone?: 'good' | 'warn' | 'bad' | 'info' }) {
  return <span class={`badge ${tone ?? tones[of] ?? 'bare'}`}>{tr('value', of)}</span>;
}
export function Time({ at, none }: { at: string | null | undefined; none?: string }) {
  if (!at) return <span class="quiet">{none ?? '–'}</span>;
  return (
    <time class="nowrap" dateTime={at} title={exact(at)}>
      {ago(at)}
    </time>
  );
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const id = setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(id);
  }, [done]);
  return (
    <Button
      icon={done ? 'check' : 'copy'}
      onClick={() => navigator.clipboard.writeText(text).then(() => setDone(true), () => toast(t('error.copy'), 'bad'))}
    >
      {done ? t('action.copied') : (label ?? t('action.copy'))}
    </Button>
  );
}
/** A secret that is shown now and never again. */
export function Secret({ text, label }: { text: string; label: string }) {
  return (
    <div class="field">
      <span class="label">{label}</span>
      <div class="secret">
        <code data-secret>{text}</code>
        <CopyButton text={text} />
      </div>
      <span class="hint">{t('secret.once')}</span>
    </div>
  );
}
export function Tabs({ items }: { items: Array<{ to: string; text: string; here: boolean }> }) {
  return (
    <nav class="tabs" aria-label={t('shell.sections')}>
      {items.map((i) => (
        <Link key={i.to} to={i.to} aria-current={i.here ? 'page' : undefined}>
          {i.text}
        </Link>
      ))}
    </nav>
  );
}
export function Facts({ rows }: { rows: Array<[string, ComponentChildren]> }) {
  return (
    <dl class="facts">
      {rows.map(([k, v]) => (
        <>
          <dt>{k}</dt>
          <dd>{v ?? '–'}</dd>
        </>
      ))}
    </dl>
  );
}
export function Code({ children, label }: { children: string; label: string }) {
  return (
    <pre class="code" tabIndex={0} role="region" aria-label={label}>
      {children}
    </pre>
  );
}
export const pretty = (v: unknown): string => JSON.stringify(v, null, 2) ?? '';
