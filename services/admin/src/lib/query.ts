// Data of a page: loaded when its key changes, kept while it is loaded anew, aborted when the page goes.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type Answer, Failure, get, withQuery, type Query } from './api';

export interface Loaded<T> {
  data: T | null;
  answer: Answer<T> | null;
  error: Failure | null;
  loading: boolean;
  reload: () => void;
  /** As reload, but never while an answer is still awaited: what is asked for every so often must not starve itself. */
  poll: () => void;
  set: (answer: Answer<T>) => void;
}
/** path null: nothing to load. */
export function useGet<T>(path: string | null, query?: Query): Loaded<T> {
  const key = path === null ? null : withQuery(path, query);
  const [state, setState] = useState<{ key: string | null; answer: Answer<T> | null; error: Failure | null; loading: boolean }>({ key, answer: null, error: null, loading: key !== null });
  const [turn, setTurn] = useState(0);
  const running = useRef<AbortController | null>(null);
  useEffect(() => {
    running.current?.abort();
    if (key === null) return;
    const control = new AbortController();
    running.current = control;
    setState((s) => ({ key, answer: s.answer, error: s.error, loading: true }));
    get<T>(key, undefined, { signal: control.signal }).then(
      (answer) => setState({ key, answer, error: null, loading: false }),
      (e: unknown) => {
        if (e instanceof Failure) setState((s) => ({ key, answer: s.key === key ? s.answer : null, error: e, loading: false }));
        else if (!(e instanceof DOMException)) throw e;
      },
    );
    return () => control.abort();
  }, [key, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const poll = (): void => {
    if (!state.loading) reload();
  };
  const set = useCallback((answer: Answer<T>) => setState((s) => ({ ...s, answer, error: null })), []);
  return { data: state.answer?.data ?? null, answer: state.answer, error: state.error, loading: state.loading, reload, poll, set };
}
/** Calls it every so often while the page is looked at. */
export function useInterval(f: () => void, ms: number | null): void {
  const latest = useRef(f);
  latest.current = f;
  useEffect(() => {
    if (ms === null) return;
    const id = setInterval(() => {
      if (!document.hidden) latest.current();
    }, ms);
    return () => clearInterval(id);
  }, [ms]);
}
