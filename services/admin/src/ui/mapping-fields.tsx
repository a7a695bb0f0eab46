// The field table of a mapping: what goes where.
import { useId } from 'preact/hooks';
import { t } from '../lib/i18n';
import { Button } from './parts';

export interface FieldRow {
  to: string;
  from?: string;
  type?: string;
  required?: boolean;
  default?: unknown;
}
const types = ['text', 'integer', 'number', 'boolean', 'time', 'json'];
export function FieldRows({ rows, pointers, onChange }: { rows: FieldRow[]; pointers: string[]; onChange: (rows: FieldRow[]) => void }) {
  const list = useId();
  const put = (i: number, change: Partial<FieldRow>): void => onChange(rows.map((r, j) => {
    if (i !== j) return r;
    const next: FieldRow = { ...r, ...change };
    if (!next.type) delete next.type;
    if (!next.required) delete next.required;
    return next;
  }));
  return (
    <div class="stack">
      <p class="muted">{t('mapping.fields_about')}</p>
      <div class="stack tight">
        {rows.map((r, i) => (
          <fieldset class="maprow" key={i}>
            <legend class="visually-hidden">{t('mapping.row', { n: i + 1 })}</legend>
            <input class="input mono" aria-label={t('mapping.from')} placeholder="/data/title" list={list} value={r.from ?? ''} onInput={(e) => put(i, { from: e.currentTarget.value })} />
            <span aria-hidden="true">→</span>
            <input class="input mono" aria-label={t('mapping.to')} placeholder="title" value={r.to} onInput={(e) => put(i, { to: e.currentTarget.value })} />
            <select class="input" aria-label={t('mapping.type')} value={r.type ?? ''} onChange={(e) => put(i, { type: e.currentTarget.value })}>
              <option value="">{t('mapping.as_is')}</option>
              {types.map((y) => <option key={y} value={y}>{y}</option>)}
            </select>
            <label class="check"><input type="checkbox" checked={r.required === true} onChange={(e) => put(i, { required: e.currentTarget.checked })} />{t('mapping.required')}</label>
            <Button small icon="trash" aria-label={t('form.remove', { what: r.to || t('mapping.row', { n: i + 1 }) })} onClick={() => onChange(rows.filter((_, j) => j !== i))} />
          </fieldset>
        ))}
      </div>
      <datalist id={list}>{['event', 'id', 'header:', 'query:', '=', ...pointers].map((p) => <option key={p} value={p} />)}</datalist>
      <div><Button small icon="plus" onClick={() => onChange([...rows, { to: '', from: '' }])}>{t('mapping.add')}</Button></div>
    </div>
  );
}
