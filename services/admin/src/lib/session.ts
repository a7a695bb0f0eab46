// Who is signed in.  The session is a cookie that no script can read (rulings 24); this asks the server who it stands for, and
// has the person sign in again in a second window when it ends, so that the page with its half-filled form stays.
import { computed, signal } from '@preact/signals';

export interface Person {
  id: number;
  username: string;
  display_name: string | null;
  role: 'admin' | 'editor' | 'author' | 'member';
}
export interface Session {
  user: Person;
  scopes: string[];
  csrf: string;
  expires_at: string;
}
export const session = signal<Session | null>(null);
export const csrf = computed(() => session.value?.csrf ?? '');
/** Is somebody being asked to sign in again? */
export const expired = signal(false);
/** Why nobody could be asked at all; null: it went well. */
export const unreachable = signal(false);

/** True if somebody is signed in. */
export async function loadSession(): Promise<boolean> {
  unreachable.value = false;
  let res: Response;
  try {
    res = await fetch('/api/v2/auth/session', { headers: { Accept: 'application/json' }, cache: 'no-store' });
  } catch {
    unreachable.value = true;
    return false;
  }
  if (!res.ok) {
    unreachable.value = res.status !== 401;
    return false;
  }
  session.value = ((await res.json()) as { data: Session }).data;
  return true;
}

export const startPath = (returnTo: string): string => `/oauth/session/start?return_to=${encodeURIComponent(returnTo)}`;
export const signIn = (): void => location.assign(startPath(location.pathname + location.search));

export async function signOut(): Promise<void> {
  await fetch('/oauth/session/end', { method: 'POST', headers: { 'X-CMS365-CSRF': csrf.value } });
  session.value = null;
  location.assign('/admin/signed-out');
}

/** Does this person's session allow it?  api:read and api:write imply what lies below them, api:admin all. */
export function may(scope: string | null): boolean {
  const have = session.value?.scopes ?? [];
  if (!scope || have.includes(scope) || have.includes('api:admin')) return true;
  const [of, what] = scope.split(':');
  const implied = ['posts', 'pages', 'media', 'experts', 'companies', 'events', 'users', 'webhooks'];
  if (!of || !implied.includes(of)) return false;
  if (what === 'read') return have.includes('api:read') || have.includes('api:write') || have.includes(`${of}:write`);
  return of !== 'users' && have.includes('api:write');
}

/* --- signing in again --- */

const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('cms365.session');
let waiting: Array<() => void> = [];

/** Resolves once somebody is signed in again. */
export function whenSignedIn(): Promise<void> {
  expired.value = true;
  return new Promise((go) => waiting.push(go));
}
export async function signedInAgain(): Promise<boolean> {
  const before = session.value?.user.id;
  if (!(await loadSession())) return false;
  if (before !== undefined && session.value?.user.id !== before) {
    location.reload(); // somebody else: what is on the screen is not theirs
    return true;
  }
  expired.value = false;
  const go = waiting;
  waiting = [];
  for (const f of go) f();
  return true;
}
channel?.addEventListener('message', () => {
  if (expired.value) void signedInAgain();
});
export function signInAgain(): void {
  window.open(startPath('/admin/signed-in'), 'cms365-sign-in', 'popup,width=480,height=720');
}
/** The second window says so and goes. */
export function tellSignedIn(): void {
  channel?.postMessage('signed in');
  window.close();
}
