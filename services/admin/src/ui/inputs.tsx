// Fields of forms.  Each has its label, its hint and its error tied to the control.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api';
import { t } from '../lib/i18n';
import { Link } from '../lib/router';
import { entity, isContent, looks, titleOf } from '../lib/schema';
import { Icon } from './icons';

export interface FieldProps {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
  optional?: boolean | undefined;
}
interface Ids {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': 'true' | undefined;
}
export function Field({ label, hint, error, optional, children }: FieldProps & { children: (ids: Ids) => ComponentChildren }) {
  const id = useId();
  const described = [error ? `${id}-e` : '', hint ? `${id}-h` : ''].filter(Boolean).join(' ') || undefined;
  return (
    <div class="field">
      <label for={id}>
        {label} {optional && <span class="opt">({t('form.optional')})</span>}
      </label>
      {children({ id, 'aria-describedby': described, 'aria-invalid': error ? 'true' : undefined })}
      {error && (
        <span class="error" id={`${id}-e`}>
          <Icon name="error" />
          {error}
        </span>
      )}
      {hint && (
        <span class="hint" id={`${id}-h`}>
          {hint}
        </span>
      )}
    </div>
  );
}

type Control<V> = FieldProps & { value: V; onChange: (v: V) => void; required?: boolean | undefined };
export function Text({ value, onChange, required, max, type = 'text', long, lines, auto, placeholder, inputMode, mono, ...f }: Control<string> & {
  max?: number | undefined; type?: 'text' | 'email' | 'url' | 'password' | 'number'; long?: boolean; lines?: number; auto?: string; placeholder?: string; inputMode?: 'numeric' | 'email' | 'url'; mono?: boolean;
}) {
  return (
    <Field {...f}>
      {(ids) =>
        long || lines ? (
          <textarea {...ids} class={`input ${long ? 'long' : ''} ${mono ? 'mono' : ''}`} rows={lines} value={value} required={required} maxLength={max} spellcheck={!mono} onInput={(e) => onChange(e.currentTarget.value)} />
        ) : (
          <input {...ids} class={`input ${mono ? 'mono' : ''}`} type={type as 'text'} value={value} required={required} maxLength={max} autocomplete={auto ?? 'off'} placeholder={placeholder} inputMode={inputMode} onInput={(e) => onChange(e.currentTarget.value)} />
        )
      }
    </Field>
  );
}
export function Choice({ value, onChange, choices, none, ...f }: Control<string> & { choices: Array<[string, string]>; none?: string | undefined }) {
  return (
    <Field {...f}>
      {(ids) => (
        <select {...ids} class="input" value={value} onChange={(e) => onChange(e.currentTarget.value)}>
          {none !== undefined && <option value="">{none}</option>}
          {choices.map(([v, text]) => (
            <option key={v} value={v}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
export function Check({ value, onChange, label, hint }: { value: boolean; onChange: (v: boolean) => void; label: ComponentChildren; hint?: string | undefined }) {
  return (
    <label class="check">
      <input type="checkbox" checked={value} onChange={(e) => onChange(e.currentTarget.checked)} />
      <span>
        {label}
        {hint && <small>{hint}</small>}
      </span>
    </label>
  );
}

/* --- times: the field shows the person's own zone, the API gets UTC --- */
export function toLocal(iso: string | null | undefined): string {
  if (!iso) return '';
  const d = new Date(iso);
  const at = new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString();
  return at.slice(0, d.getSeconds() ? 19 : 16);
}
export const fromLocal = (text: string): string | null => (text ? new Date(text).toISOString() : null);
export function DateTime({ value, onChange, ...f }: Control<string | null>) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <Field {...f} hint={[f.hint, t('form.zone', { zone })].filter(Boolean).join(' ')}>
      {(ids) => (
        <input {...ids} class="input" type="datetime-local" value={toLocal(value)} onChange={(e) => {
          // What was not touched keeps its seconds and fractions.
          if (e.currentTarget.value !== toLocal(value)) onChange(fromLocal(e.currentTarget.value));
        }} />
      )}
    </Field>
  );
}

/** Words as chips: Enter or a comma adds, Backspace in the empty field takes the last. */
export function Tags({ value, onChange, suggest, ...f }: Control<string[]> & { suggest?: string[] }) {
  const [text, setText] = useState('');
  const list = useId();
  const add = (raw: string): void => {
    const fresh = raw.split(',').map((s) => s.trim()).filter((s) => s && !value.includes(s));
    if (fresh.length) onChange([...value, ...fresh]);
    setText('');
  };
  return (
    <Field {...f}>
      {(ids) => (
        <div class="tags">
          {value.map((v) => (
            <span class="chip" key={v}>
              {v}
              <button type="button" aria-label={t('form.remove', { what: v })} onClick={() => onChange(value.filter((o) => o !== v))}>
                <Icon name="close" />
              </button>
            </span>
          ))}
          <input
            {...ids}
            value={text}
            list={suggest ? list : undefined}
            onInput={(e) => (e.currentTarget.value.includes(',') ? add(e.currentTarget.value) : setText(e.currentTarget.value))}
            onKeyDown={(e) => {
              if (e.key === 'Enter' && text.trim()) {
                e.preventDefault();
                add(text);
              } else if (e.key === 'Backspace' && !text) onChange(value.slice(0, -1));
            }}
            onBlur={() => add(text)}
          />
          {suggest && (
            <datalist id={list}>
              {suggest.map((s) => (
                <option key={s} value={s} />
              ))}
            </datalist>
          )}
        </div>
      )}
    </Field>
  );
}

/* --- references --- */
export interface RefValue {
  id: number;
}
type Row = Record<string, unknown> & { id: number };
const known = new Map<string, Row>();

function useNamed(of: string, id: number | null): string {
  const [row, setRow] = useState<Row | null>(id === null ? null : (known.get(`${of}/${id}`) ?? null));
  useEffect(() => {
    if (id === null) return;
    const have = known.get(`${of}/${id}`);
    if (have) return setRow(have);
    let here = true;
    get<Row>(`${entity(of).path}/${id}`, undefined, { quiet: true }).then(
      (a) => {
        known.set(`${of}/${id}`, a.data);
        if (here) setRow(a.data);
      },
      () => undefined, // not visible to this person: the number must do
    );
    return () => {
      here = false;
    };
  }, [of, id]);
  return row && row.id === id ? titleOf(of, row) : `#${id ?? ''}`;
}
export const Named = ({ of, id }: { of: string; id: number }) => <span>{useNamed(of, id)}</span>;
/** The name of what a reference leads to, with a link there. */
export function RefName({ of, id }: { of: string; id: number }) {
  const name = useNamed(of, id);
  return isContent(of) ? <Link to={of === 'users' ? `/users/${id}` : `/content/${of}/${id}`}>{name}</Link> : <span>{name}</span>;
}

const picker_rows_max = 8;
const picker_wait_ms = 180;
/** A combobox over the entity's rows (ARIA 1.2: editable, list autocomplete). */
function Finder({ of, ids, onPick, without }: { of: string; ids: Ids; onPick: (row: Row) => void; without: number[] }) {
  const [text, setText] = useState('');
  const [rows, setRows] = useState<Row[] | null>(null);
  const [at, setAt] = useState(0);
  const list = useId();
  const open = rows !== null;
  const turn = useRef(0);
  const look = (q: string): void => {
    const mine = ++turn.current;
    const names = isContent(of) ? looks[of].search : ['name'];
    const query: Record<string, string> = { limit: String(picker_rows_max), count: 'none', sort: '-updated_at' };
    if (/^\d+$/.test(q)) query['filter[id]'] = q;
    else if (q) names.forEach((n, i) => (query[`filter[or][${i}][${n}][contains]`] = q));
    get<Row[]>(entity(of).path, query).then(
      (a) => {
        if (turn.current === mine) setRows(a.data.filter((r) => !without.includes(r.id)));
        setAt(0);
      },
      () => turn.current === mine && setRows([]),
    );
  };
  useEffect(() => {
    if (!open) return;
    const id = setTimeout(() => look(text), picker_wait_ms);
    return () => clearTimeout(id);
  }, [text]);
  const pick = (row: Row | undefined): void => {
    if (!row) return;
    known.set(`${of}/${row.id}`, row);
    setRows(null);
    setText('');
    onPick(row);
  };
  return (
    <div class="picker with-icon">
      <Icon name="search" />
      <input
        {...ids}
        class="input"
        role="combobox"
        aria-expanded={open}
        aria-controls={open ? list : undefined}
        aria-autocomplete="list"
        aria-activedescendant={open && rows[at] ? `${list}-${at}` : undefined}
        autocomplete="off"
        placeholder={t('form.find')}
        value={text}
        onFocus={() => look(text)}
        onBlur={() => setRows(null)}
        onInput={(e) => {
          setText(e.currentTarget.value);
          if (!open) setRows([]);
        }}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
            e.preventDefault();
            if (!open) look(text);
            else setAt((i) => (rows.length ? (i + (e.key === 'ArrowDown' ? 1 : rows.length - 1)) % rows.length : 0));
          } else if (e.key === 'Enter' && open) {
            e.preventDefault();
            pick(rows[at]);
          } else if (e.key === 'Escape' && open) {
            e.preventDefault();
            e.stopPropagation();
            setRows(null);
          }
        }}
      />
      {open && (
        <ul role="listbox" id={list} aria-label={t('form.found')}>
          {rows.map((r, i) => (
            <li key={r.id} id={`${list}-${i}`} role="option" aria-selected={i === at} onMouseDown={(e) => {
              e.preventDefault();
              pick(r);
            }}>
              {titleOf(of, r)}
              <small>#{r.id}</small>
            </li>
          ))}
          {!rows.length && <li role="option" aria-selected={false} aria-disabled="true" class="quiet">{t('form.none_found')}</li>}
        </ul>
      )}
    </div>
  );
}
function Picked({ of, id, onRemove }: { of: string; id: number; onRemove: () => void }) {
  const name = useNamed(of, id);
  return (
    <div class="picked">
      <RefName of={of} id={id} />
      <span class="chip">
        <button type="button" aria-label={t('form.remove', { what: name })} onClick={onRemove}>
          <Icon name="close" />
        </button>
      </span>
    </div>
  );
}
export function Ref({ of, value, onChange, ...f }: Control<RefValue | null> & { of: string }) {
  return (
    <Field {...f}>
      {(ids) => (value ? <div id={ids.id} tabIndex={-1}><Picked of={of} id={value.id} onRemove={() => onChange(null)} /></div> : <Finder of={of} ids={ids} without={[]} onPick={(r) => onChange({ id: r.id })} />)}
    </Field>
  );
}
export function Refs({ of, value, onChange, ...f }: Control<RefValue[]> & { of: string }) {
  return (
    <Field {...f}>
      {(ids) => (
        <div class="stack tight">
          {value.map((v) => (
            <Picked key={v.id} of={of} id={v.id} onRemove={() => onChange(value.filter((o) => o.id !== v.id))} />
          ))}
          <Finder of={of} ids={ids} without={value.map((v) => v.id)} onPick={(r) => onChange([...value, { id: r.id }])} />
        </div>
      )}
    </Field>
  );
}
