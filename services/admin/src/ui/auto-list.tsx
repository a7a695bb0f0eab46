// A log of any program as a list, its columns and filters read off the entity that lies at the path; a program that is not part of
// the installation is said to be so, plainly.
import type { ComponentChildren } from 'preact';
import { exact, t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { query } from '../lib/router';
import { type FieldDef, entities } from '../lib/schema';
import { RefName } from './inputs';
import { type Column, Filter, ListBody, type ListState, Search, useList } from './list';
import { Badge, Card, Empty, Time, pretty } from './parts';
import { absent } from './traffic';

export type AnyRow = Record<string, unknown> & { id: number | string };
interface Props {
  path: string;
  label: string;
  /** Shown first, if the rows have them; the rest follows, up to a screen's width. */
  first: string[];
  none: string;
  without?: string[];
  action?: (row: AnyRow, list: ListState<AnyRow>) => ComponentChildren;
  onList?: (list: ListState<AnyRow>) => void;
}
const columns_max = 8;

function show(of: string, f: FieldDef | undefined, name: string, v: unknown): ComponentChildren {
  if (v === null || v === undefined || v === '') return <span class="quiet">–</span>;
  if (f?.kind === 'time' || (/_at$/.test(name) && typeof v === 'string')) return <Time at={String(v)} />;
  if (f?.kind === 'enum') return name === 'status' || name === 'outcome' ? <Badge of={String(v)} /> : valueLabel(String(v));
  if (typeof v === 'boolean') return v ? t('form.yes') : t('form.no');
  if (typeof v === 'object') {
    const id = (v as { id?: unknown }).id;
    if (f?.kind === 'ref' && f.to && typeof id === 'number') return <RefName of={f.to} id={id} />;
    return <details><summary>{fieldLabel(of, name)}</summary><pre>{pretty(v)}</pre></details>;
  }
  return <span class="clip" title={String(v)}>{String(v)}</span>;
}
export function AutoList({ path, label, first, none, without = [], action, onList }: Props) {
  const [of, def] = Object.entries(entities).find(([, e]) => e.path === path) ?? ['', null];
  const fields = def?.fields ?? [];
  const offered = fields.filter((f) => f.filter && (f.kind === 'enum' || (f.kind === 'text' && first.includes(f.name))));
  const filters = Object.fromEntries(offered.map((f) => [`filter[${f.name}]${f.kind === 'text' ? '[contains]' : ''}`, query.value.get(f.name)]));
  const list = useList<AnyRow>(path, def?.sort ?? '', filters);
  onList?.(list);
  const names = fields.length ? fields.map((f) => f.name) : Object.keys(list.data?.[0] ?? {});
  const chosen = [...first.filter((n) => names.includes(n)), ...names.filter((n) => !first.includes(n) && !without.includes(n) && n !== 'id' && n !== 'version')].slice(0, columns_max);
  const columns: Array<Column<AnyRow>> = chosen.map((name, i) => {
    const f = fields.find((d) => d.name === name);
    return { id: name, label: fieldLabel(of, name), main: i === 0, sort: f?.sort === true, right: f?.kind === 'int', show: (r) => (i === 0 && f?.kind === 'time' && typeof r[name] === 'string' ? <time class="nowrap" dateTime={r[name]} title={exact(r[name])}><Time at={r[name]} /></time> : show(of, f, name, r[name])) };
  });
  if (action) columns.push({ id: 'do', label: '', right: true, show: (r) => action(r, list) });
  if (list.error && absent(list.error.status) && !list.data) return <Card><Empty icon="info" title={t('auto.absent')}>{t('auto.absent_about', { what: label })}</Empty></Card>;
  return (
    <Card>
      {offered.length > 0 && (
        <div class="toolbar">
          {offered.map((f) => f.kind === 'enum' ? <Filter key={f.name} name={f.name} label={fieldLabel(of, f.name)} choices={(f.choices ?? []).map((c) => [c, valueLabel(c)])} /> : <Search key={f.name} name={f.name} label={fieldLabel(of, f.name)} />)}
        </div>
      )}
      <ListBody list={list} label={label} columns={columns} sortable={def !== null} empty={<Empty icon="list" title={none} />} />
    </Card>
  );
}
