// Addresses below /admin, and the page that answers each (pages/table.ts).
import { computed, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

export const base = '/admin';
const here = signal(read());
function read(): { path: string; search: string } {
  const path = location.pathname.slice(base.length).replace(/\/+$/, '') || '/';
  return { path, search: location.search };
}
export const path = computed(() => here.value.path);
export const query = computed(() => new URLSearchParams(here.value.search));

/** Says whether what is on the page may be left; a page with unsaved text sets it. */
export const guard = signal<(() => boolean) | null>(null);
let depth = 0;

export function go(to: string, replace = false): void {
  if (!replace && guard.value && !guard.value()) return;
  if (!replace) guard.value = null;
  history[replace ? 'replaceState' : 'pushState']({ depth: replace ? depth : ++depth }, '', base + to);
  const before = here.value.path;
  here.value = read();
  if (!replace && before !== here.value.path) window.scrollTo(0, 0);
}
/** Changes parameters of the address; null removes one. */
export function setQuery(change: Record<string, string | null>, replace = true): void {
  const q = new URLSearchParams(query.value);
  for (const [k, v] of Object.entries(change)) {
    if (v === null || v === '') q.delete(k);
    else q.set(k, v);
  }
  const text = q.toString();
  go(path.value + (text ? `?${text}` : ''), replace);
}
addEventListener('popstate', () => {
  if (guard.value && !guard.value()) {
    history.pushState({ depth }, '', base + here.value.path + here.value.search);
    return;
  }
  guard.value = null;
  here.value = read();
});
addEventListener('beforeunload', (e) => {
  if (guard.value) e.preventDefault();
});

export type Params = Record<string, string>;
/** "/content/:entity/:id" against a path; null: another page's. */
export function match(pattern: string, of: string): Params | null {
  const a = pattern.split('/');
  const b = of.split('/');
  if (a.length !== b.length) return null;
  const params: Params = {};
  for (let i = 0; i < a.length; i++) {
    const p = a[i] ?? '';
    const v = b[i] ?? '';
    if (p.startsWith(':')) {
      if (!v) return null;
      params[p.slice(1)] = decodeURIComponent(v);
    } else if (p !== v) return null;
  }
  return params;
}

interface LinkProps {
  to: string;
  children: ComponentChildren;
  class?: string;
  title?: string | undefined;
  'aria-current'?: 'page' | undefined;
  'aria-label'?: string | undefined;
}
export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a
      href={base + to}
      {...rest}
      onClick={(e) => {
        if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
        e.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}
