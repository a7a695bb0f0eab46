// The one way to the API: same origin, the session's cookie, the form token on writes, entity tags and idempotency keys.
// What fails is a Failure with the problem (RFC 9457) inside.
import type { Problem } from '~api';
import { csrf, whenSignedIn } from './session';

export class Failure extends Error {
  constructor(readonly problem: Problem, readonly etag: string | null = null) {
    super(problem.detail || problem.title);
  }
  get status(): number {
    return this.problem.status;
  }
  /** The last part of the type: not_found, precondition_failed … */
  get code(): string {
    return this.problem.type.replace(/^.*\//, '');
  }
}

export interface Meta {
  total?: number | null;
  estimated?: boolean;
  page?: number;
  per_page?: number;
  next_cursor?: string | null;
  prev_cursor?: string | null;
  more?: boolean;
}
export interface Answer<T> {
  status: number;
  data: T;
  meta: Meta;
  etag: string | null;
  headers: Headers;
}
export type Query = Record<string, string | number | boolean | null | undefined>;
export interface Ask {
  query?: Query;
  body?: unknown;
  type?: string; // media type of the body
  etag?: string | null; // If-Match
  once?: string; // Idempotency-Key
  prefer?: string;
  signal?: AbortSignal;
  quiet?: boolean; // 401 is an answer, not a reason to ask for the password
}

export function withQuery(path: string, query?: Query): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null && v !== '') q.set(k, String(v));
  const text = q.toString().replaceAll('%5B', '[').replaceAll('%5D', ']');
  return text ? `${path}?${text}` : path;
}

export const newKey = (): string => crypto.randomUUID();
/** The key of an action on one version of a row: another version is another action. */
export const keyFor = (key: string, what: string | number | null): string => `${key}-${String(what ?? '').replace(/[^\w.-]/g, '')}`;

async function problemOf(res: Response): Promise<Problem> {
  const base = { type: `about:blank/${res.status === 404 ? 'not_found' : 'unavailable'}`, title: res.statusText || String(res.status), status: res.status, detail: '' };
  try {
    const got: unknown = await res.json();
    return typeof got === 'object' && got ? { ...base, ...got } : base;
  } catch {
    return base; // no program of ours answered
  }
}

async function send(method: string, path: string, ask: Ask): Promise<Response> {
  const headers = new Headers({ Accept: 'application/json' });
  if (ask.body !== undefined) headers.set('Content-Type', ask.type ?? 'application/json');
  if (ask.etag) headers.set('If-Match', ask.etag);
  if (ask.once) headers.set('Idempotency-Key', ask.once);
  if (ask.prefer) headers.set('Prefer', ask.prefer);
  if (method !== 'GET' && csrf.value) headers.set('X-CMS365-CSRF', csrf.value);
  try {
    return await fetch(withQuery(path, ask.query), {
      method, headers, credentials: 'same-origin', cache: 'no-store', redirect: 'error',
      ...(ask.signal ? { signal: ask.signal } : {}), ...(ask.body !== undefined ? { body: JSON.stringify(ask.body) } : {}),
    });
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    throw new Failure({ type: 'about:blank/network', title: '', status: 0, detail: '' });
  }
}

/** Sends it; if the session is over, asks the person to sign in again and sends it once more: nothing typed is lost. */
export async function call<T>(method: string, path: string, ask: Ask = {}): Promise<Answer<T>> {
  for (;;) {
    const res = await send(method, path, ask);
    if (res.ok) {
      const text = await res.text();
      const body = text ? (JSON.parse(text) as { data?: T; meta?: Meta }) : {};
      return { status: res.status, data: (body.data ?? body) as T, meta: body.meta ?? {}, etag: res.headers.get('ETag'), headers: res.headers };
    }
    if (res.status === 401 && !ask.quiet) {
      await whenSignedIn();
      continue;
    }
    throw new Failure(await problemOf(res), res.headers.get('ETag'));
  }
}
export const get = <T>(path: string, query?: Query, ask: Ask = {}): Promise<Answer<T>> => call<T>('GET', path, { ...ask, ...(query ? { query } : {}) });
export const create = <T>(path: string, body: unknown, once: string): Promise<Answer<T>> => call<T>('POST', path, { body, once });
export const change = <T>(path: string, body: unknown, etag: string | null): Promise<Answer<T>> =>
  call<T>('PATCH', path, { body, etag, type: 'application/merge-patch+json' });
