// A form over a row: what was read, what the person made of it, what the server said against it.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { Failure } from './api';
import { t } from './i18n';
import { guard } from './router';
import { entity, type FieldDef } from './schema';

export type Values = Record<string, unknown>;
export const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);
function canonical(v: unknown): string {
  return JSON.stringify(v ?? null, (_, o: unknown) =>
    typeof o === 'object' && o && !Array.isArray(o) ? Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1))) : o,
  );
}
const isObject = (v: unknown): v is Values => typeof v === 'object' && v !== null && !Array.isArray(v);

/** The merge patch (RFC 7396) that makes `to` of `from`. */
export function mergePatch(from: unknown, to: unknown): unknown {
  if (!isObject(from) || !isObject(to)) return to;
  const patch: Values = {};
  for (const k of Object.keys(from)) if (!(k in to)) patch[k] = null;
  for (const [k, v] of Object.entries(to)) if (!same(from[k], v)) patch[k] = mergePatch(from[k], v);
  return patch;
}
/** As it is sent: a reference is its id alone. */
function plain(f: FieldDef, v: unknown): unknown {
  if (f.kind === 'ref') return isObject(v) ? { id: v['id'] } : null;
  if (f.kind === 'refs') return Array.isArray(v) ? v.map((r: { id: number }) => ({ id: r.id })) : [];
  if (f.kind === 'text' && v === '' && f.nullable) return null;
  return v;
}
export function startValues(of: string, preset: Values = {}): Values {
  const out: Values = {};
  for (const f of entity(of).fields) if (f.create) out[f.name] = preset[f.name] ?? f.default ?? (f.kind === 'texts' || f.kind === 'refs' ? [] : f.kind === 'json' ? (f.nullable && f.name !== 'meta' ? null : {}) : f.kind === 'bool' ? false : f.kind === 'text' ? '' : null);
  return out;
}
export function ofRow(of: string, row: Values): Values {
  const out: Values = {};
  for (const f of entity(of).fields) if (f.change && !f.secret) out[f.name] = f.kind === 'text' ? (row[f.name] ?? '') : plain(f, row[f.name]);
  return out;
}

export interface Form {
  of: string;
  creating: boolean;
  values: Values;
  base: Values;
  errors: Record<string, string>;
  failure: Failure | null;
  busy: boolean;
  dirty: boolean;
  set: (name: string, v: unknown) => void;
  /** Another state to start from, with what is typed if given. */
  reset: (base: Values, values?: Values) => void;
  setError: (name: string, text: string | null) => void;
  /** What is to be sent; a whole row when creating, a merge patch else. */
  body: () => Values;
  /** Runs it; what the server says against fields is shown at them.  False: it failed. */
  submit: (run: () => Promise<void>) => Promise<boolean>;
}

export function useForm(of: string, creating: boolean, start: () => Values): Form {
  const [base, setBase] = useState<Values>(start);
  const [values, setValues] = useState<Values>(base);
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState(false);
  const dirty = !same(base, values);
  useEffect(() => {
    guard.value = dirty ? () => window.confirm(t('form.leave')) : null;
  }, [dirty]);
  useEffect(() => () => { guard.value = null; }, []);
  const set = useCallback((name: string, v: unknown) => {
    setValues((now) => ({ ...now, [name]: v }));
    setErrors(({ [name]: _, ...rest }) => rest);
  }, []);
  const setError = useCallback((name: string, text: string | null) => setErrors(({ [name]: _, ...rest }) => (text ? { ...rest, [name]: text } : rest)), []);
  const reset = useCallback((b: Values, v?: Values) => {
    setBase(b);
    setValues(v ?? b);
    setErrors({});
    setFailure(null);
  }, []);
  const body = (): Values => {
    const out: Values = {};
    for (const f of entity(of).fields) {
      if (!(f.name in values)) continue;
      const now = plain(f, values[f.name]);
      if (creating) {
        if (now !== null && now !== '' && !(f.nullable && Array.isArray(now) && !now.length) && !(f.nullable && same(now, {}))) out[f.name] = now;
      } else if (!same(plain(f, base[f.name]), now)) out[f.name] = f.name === 'meta' ? mergePatch(base[f.name], now) : now;
    }
    return out;
  };
  const submit = async (run: () => Promise<void>): Promise<boolean> => {
    if (Object.keys(errors).some((k) => errors[k] && k.startsWith('json:'))) return false;
    setBusy(true);
    setFailure(null);
    try {
      await run();
      return true;
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      const at: Record<string, string> = {};
      for (const p of e.problem.errors ?? []) {
        const name = p.pointer.replace(/^#?\/(data\/)?/, '').split('/')[0] ?? '';
        if (name && !at[name]) at[name] = p.detail;
      }
      setErrors(at);
      setFailure(e);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { of, creating, values, base, errors, failure, busy, dirty, set, reset, setError, body, submit };
}
