// The frame: menu, page, dialogs; who is signed in, and what happens when that ends.
import { signal } from '@preact/signals';
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { t } from './lib/i18n';
import { Link, type Params, match, path } from './lib/router';
import { expired, may, session, signIn, signInAgain, signedInAgain, signOut, unreachable } from './lib/session';
import { type GroupId, type PageComponent, type PageRow, pages } from './pages/table';
import { Confirms, Dialog } from './ui/dialog';
import { Icon, Logo } from './ui/icons';
import { Bones, Button, Empty, Note } from './ui/parts';
import { Toasts } from './ui/toast';

const menuOpen = signal(false);
const groups: GroupId[] = ['overview', 'content', 'access', 'webhooks', 'operations', 'developers'];

const isHere = (row: PageRow): boolean => {
  const to = row.path;
  return path.value === to || (to !== '/' && path.value.startsWith(`${to}/`));
};
function Menu() {
  const who = session.value?.user;
  const name = who?.display_name || who?.username || '';
  return (
    <nav class={`side ${menuOpen.value ? 'open' : ''}`} id="menu" aria-label={t('shell.menu')} onClick={(e) => {
      if (e.target instanceof Element && e.target.closest('a')) menuOpen.value = false;
    }}>
      <Link to="/" class="brand"><Logo /> 365CMS</Link>
      {groups.map((g) => {
        const rows = pages.filter((p) => p.nav?.group === g && may(p.scope));
        return (
          rows.length > 0 && (
            <div class="nav-group" key={g}>
              {g !== 'overview' && <h2>{t(`nav.group.${g}`)}</h2>}
              <ul>
                {rows.map((p) => p.nav && (
                  <li key={p.id}>
                    <Link to={p.path} aria-current={isHere(p) ? 'page' : undefined}>
                      <Icon name={p.nav.icon} />
                      {t(p.nav.label)}
                    </Link>
                  </li>
                ))}
              </ul>
            </div>
          )
        );
      })}
      <div class="side-foot nav-group">
        <Link to="/settings" class="who" aria-current={path.value === '/settings' ? 'page' : undefined}>
          <span class="avatar" aria-hidden="true">{name.slice(0, 2).toUpperCase()}</span>
          <span><b>{name}</b><small>{who && t(`role.${who.role}`)}</small></span>
        </Link>
        <Button kind="plain" small icon="lock" class="sign-out" onClick={() => void signOut()}>{t('shell.sign_out')}</Button>
      </div>
    </nav>
  );
}

class Guarded extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };
  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ failed: true });
  }
  override render() {
    if (!this.state.failed) return this.props.children;
    return <Empty page icon="error" title={t('error.page')} action={<Button icon="refresh" onClick={() => location.reload()}>{t('action.reload')}</Button>}>{t('error.page_about')}</Empty>;
  }
}

const loaded = new Map<string, PageComponent>();
function find(at: string): { row: PageRow; params: Params } | null {
  for (const row of pages) {
    const params = match(row.path, at);
    // The rows of the menu that show an entity name it in their path.
    if (params) return { row, params: { entity: row.id, ...params } };
  }
  return null;
}
function Page() {
  const at = path.value;
  const found = find(at);
  const [, again] = useState(0);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (!found || loaded.has(found.row.id)) return;
    setFailed(false);
    found.row.load().then(
      (m) => {
        loaded.set(found.row.id, m.default);
        again((n) => n + 1);
      },
      () => setFailed(true), // the files are another version's by now, or the network is away
    );
  }, [at]);
  if (!found) return <Empty page icon="search" title={t('error.no_page')} action={<Button to="/">{t('action.home')}</Button>}>{t('error.no_page_about')}</Empty>;
  if (!may(found.row.scope)) return <Empty page icon="lock" title={t('error.not_yours')}>{t('error.not_yours_about', { scope: found.row.scope ?? '' })}</Empty>;
  if (failed) return <Empty page icon="error" title={t('error.load')} action={<Button icon="refresh" onClick={() => location.reload()}>{t('action.reload')}</Button>}>{t('error.load_about')}</Empty>;
  const Found = loaded.get(found.row.id);
  return Found ? <Guarded key={at}><Found params={found.params} /></Guarded> : <Bones lines={7} />;
}

function SignInAgain() {
  const [failed, setFailed] = useState(false);
  return (
    <Dialog title={t('session.over')} onClose={() => undefined}>
      <p>{t('session.over_about')}</p>
      {failed && <Note kind="warn">{t('session.not_yet')}</Note>}
      <div class="ends">
        <Button onClick={async () => setFailed(!(await signedInAgain()))}>{t('session.done')}</Button>
        <Button kind="primary" icon="out2" onClick={signInAgain}>{t('session.again')}</Button>
      </div>
    </Dialog>
  );
}
function Front({ title, text, children }: { title: string; text: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · 365CMS`;
  }, [title]);
  return (
    <main class="center">
      <div class="card">
        <div class="logo"><Logo /></div>
        <h1>{title}</h1>
        <p>{text}</p>
        {children}
      </div>
    </main>
  );
}

export function App() {
  useEffect(() => {
    const esc = (e: KeyboardEvent): void => {
      if (e.key === 'Escape') menuOpen.value = false;
    };
    addEventListener('keydown', esc);
    return () => removeEventListener('keydown', esc);
  }, []);
  if (unreachable.value && !session.value)
    return (
      <Front title={t('session.away')} text={t('session.away_about')}>
        <Button kind="primary" icon="refresh" onClick={() => location.reload()}>{t('action.retry')}</Button>
      </Front>
    );
  if (!session.value)
    return (
      <Front title={path.value === '/signed-out' ? t('session.signed_out') : t('session.welcome')} text={t('session.welcome_about')}>
        <Button kind="primary" onClick={signIn}>{t('session.sign_in')}</Button>
      </Front>
    );
  return (
    <>
      <a class="skip" href="#main">{t('shell.skip')}</a>
      <div class="shell">
        <header class="topbar">
          <button type="button" aria-label={t('shell.menu')} aria-expanded={menuOpen.value} aria-controls="menu" onClick={() => (menuOpen.value = !menuOpen.value)}>
            <Icon name={menuOpen.value ? 'close' : 'menu'} />
          </button>
          <Link to="/" class="brand"><Logo /> 365CMS</Link>
        </header>
        <Menu />
        {menuOpen.value && <div class="veil" onClick={() => (menuOpen.value = false)} />}
        <main class="main" id="main" tabIndex={-1}>
          <Page />
        </main>
      </div>
      <Toasts />
      <Confirms />
      {expired.value && <SignInAgain />}
    </>
  );
}
