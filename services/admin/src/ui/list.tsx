// Lists: a table with sorting, choosing and pages, whose state is in the address, so that it can be sent to somebody.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Failure, Meta, Query } from '../lib/api';
import { type Loaded, useGet } from '../lib/query';
import { number, t } from '../lib/i18n';
import { query, setQuery } from '../lib/router';
import { Icon } from './icons';
import { Bones, Button, FailureNote } from './parts';

export interface Column<R> {
  id: string;
  label: string;
  show: (row: R) => ComponentChildren;
  sort?: boolean;
  main?: boolean; // names the row
  right?: boolean;
}
interface Choosing {
  chosen: Set<number | string>;
  choose: (chosen: Set<number | string>) => void;
  name: (id: number | string) => string;
}
export function Table<R extends { id: number | string }>({ label, columns, rows, sort, choosing }: {
  label: string; columns: Array<Column<R>>; rows: R[]; sort?: { by: string; set: (by: string) => void }; choosing?: Choosing;
}) {
  const all = choosing && rows.length > 0 && rows.every((r) => choosing.chosen.has(r.id));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table class="cards">
        <caption class="visually-hidden">{label}</caption>
        <thead>
          <tr>
            {choosing && (
              <th class="tickbox">
                <input class="tick" type="checkbox" aria-label={t('list.choose_all')} checked={all} onChange={() => choosing.choose(new Set(all ? [] : rows.map((r) => r.id)))} />
              </th>
            )}
            {columns.map((c) => {
              const down = sort?.by === `-${c.id}`;
              const on = down || sort?.by === c.id;
              if (!c.label) return <td key={c.id} />;
              return (
                <th key={c.id} class={c.right ? 'n' : ''} aria-sort={on ? (down ? 'descending' : 'ascending') : undefined} scope="col">
                  {c.sort && sort ? (
                    <button type="button" onClick={() => sort.set(on && !down ? `-${c.id}` : c.id)}>
                      {c.label}
                      {on && <Icon name={down ? 'down' : 'up'} />}
                    </button>
                  ) : (
                    c.label
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.id} class={choosing?.chosen.has(r.id) ? 'chosen' : ''}>
              {choosing && (
                <td class="tickbox">
                  <input class="tick" type="checkbox" aria-label={t('list.choose', { what: choosing.name(r.id) })} checked={choosing.chosen.has(r.id)} onChange={() => {
                    const next = new Set(choosing.chosen);
                    if (!next.delete(r.id)) next.add(r.id);
                    choosing.choose(next);
                  }} />
                </td>
              )}
              {columns.map((c) => (
                <td key={c.id} class={[c.main ? 'names' : '', c.right ? 'n' : ''].join(' ').trim() || undefined} data-label={c.label || undefined}>
                  {c.show(r)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export const per_page = 25;
export interface ListState<R> extends Loaded<R[]> {
  sort: string;
  page: number;
}
/** A list of the API by the address's `sort` and `page`. */
export function useList<R>(path: string, sortDefault: string, extra: Query): ListState<R> {
  const sort = query.value.get('sort') ?? sortDefault;
  const page = Math.max(1, Number(query.value.get('page')) || 1);
  return { ...useGet<R[]>(path, { sort, page, per_page, ...extra }), sort, page };
}
export function Pager({ meta, page, rows }: { meta: Meta; page: number; rows: number }) {
  const total = meta.total ?? null;
  const first = (page - 1) * per_page + 1;
  const more = total === null ? rows === per_page : page * per_page < total;
  if (page === 1 && !more) return total ? <div class="pager"><span>{t('list.count', { n: total })}</span></div> : null;
  return (
    <nav class="pager" aria-label={t('list.pages')}>
      <span>{total === null ? t('list.range', { a: first, b: first + rows - 1 }) : t('list.range_of', { a: rows ? first : 0, b: rows ? first + rows - 1 : 0, n: number(total) })}</span>
      <span class="row">
        <Button small icon="left" disabled={page <= 1} onClick={() => setQuery({ page: page > 2 ? String(page - 1) : null }, false)}>{t('list.prev')}</Button>
        <Button small disabled={!more} onClick={() => setQuery({ page: String(page + 1) }, false)}>{t('list.next')} <Icon name="right" /></Button>
      </span>
    </nav>
  );
}
/** All three states of a list, and the list. */
export function ListBody<R extends { id: number | string }>({ list, label, columns, empty, choosing, sortable = true }: {
  list: ListState<R>; label: string; columns: Array<Column<R>>; empty: ComponentChildren; choosing?: Choosing; sortable?: boolean;
}) {
  if (list.error && !list.data) return <div class="pad"><FailureNote failure={list.error as Failure} retry={list.reload} /></div>;
  if (!list.data) return <Bones lines={8} />;
  return (
    <div aria-busy={list.loading}>
      {list.error && <div class="pad"><FailureNote failure={list.error as Failure} retry={list.reload} /></div>}
      {list.data.length ? (
        <Table label={label} columns={columns} rows={list.data} {...(sortable ? { sort: { by: list.sort, set: (by: string) => setQuery({ sort: by, page: null }) } } : {})} {...(choosing ? { choosing } : {})} />
      ) : (
        empty
      )}
      <Pager meta={list.answer?.meta ?? {}} page={list.page} rows={list.data.length} />
    </div>
  );
}

const search_wait_ms = 250;
/** A search field that writes the address's parameter a moment after the last key. */
export function Search({ name = 'q', label }: { name?: string; label: string }) {
  const now = query.value.get(name) ?? '';
  const [text, setText] = useState(now);
  useEffect(() => setText(now), [now]);
  useEffect(() => {
    if (text === now) return;
    const id = setTimeout(() => setQuery({ [name]: text || null, page: null }), search_wait_ms);
    return () => clearTimeout(id);
  }, [text]);
  return (
    <div class="with-icon grow">
      <Icon name="search" />
      <input class="input" type="search" aria-label={label} placeholder={label} value={text} onInput={(e) => setText(e.currentTarget.value)} />
    </div>
  );
}
export function Filter({ name, label, choices }: { name: string; label: string; choices: Array<[string, string]> }) {
  return (
    <select class="input narrow" aria-label={label} value={query.value.get(name) ?? ''} onChange={(e) => setQuery({ [name]: e.currentTarget.value || null, page: null })}>
      <option value="">{t('list.all', { what: label })}</option>
      {choices.map(([v, text]) => (
        <option key={v} value={v}>{text}</option>
      ))}
    </select>
  );
}
