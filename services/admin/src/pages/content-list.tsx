// Any of the seven entities as a list: search, filters, columns, sorting, and changes of many rows at once.
import { useEffect, useState } from 'preact/hooks';
import { Failure, type Query, call, newKey } from '../lib/api';
import { bytes, number, t, tr } from '../lib/i18n';
import { entityLabel, fieldLabel, newOf, valueLabel } from '../lib/labels';
import { Link, type Params, query } from '../lib/router';
import { type ContentName, entity, type FieldDef, isContent, looks, titleOf } from '../lib/schema';
import { may } from '../lib/session';
import { confirm } from '../ui/dialog';
import { RefName } from '../ui/inputs';
import { type Column, Filter, ListBody, type ListState, Search, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Note, Tabs, Time } from '../ui/parts';
import { toast } from '../ui/toast';
import { NoEntity } from '../ui/no-entity';

export type Row = Record<string, unknown> & { id: number };
export const rowPath = (of: string, id: number | string): string => (of === 'users' ? `/users/${id}` : `/content/${of}/${id}`);

export function Cell({ field: f, row, of }: { field: FieldDef; row: Row; of: ContentName }) {
  const v = row[f.name];
  if (f.name === looks[of].title) return <Link class="strong" to={rowPath(of, row.id)}>{titleOf(of, row)}</Link>;
  if (v === null || v === undefined || v === '') return <span class="quiet">–</span>;
  if (f.kind === 'time') return <Time at={String(v)} />;
  if (f.name === 'status') return <Badge of={String(v)} />;
  if (f.kind === 'enum') return <>{f.name === 'role' ? tr('role', String(v)) : valueLabel(String(v))}</>;
  if (f.kind === 'ref' && f.to) return <RefName of={f.to} id={(v as { id: number }).id} />;
  if (f.kind === 'refs') return <>{number((v as unknown[]).length)}</>;
  if (f.kind === 'texts') return <span class="clip">{(v as string[]).join(', ')}</span>;
  if (f.name === 'size_bytes') return <>{bytes(Number(v))}</>;
  if (f.kind === 'int') return <>{f.name === 'id' ? String(v) : number(Number(v))}</>;
  return <span class="clip" title={String(v)}>{typeof v === 'string' ? v : JSON.stringify(v)}</span>;
}

function useColumns(of: ContentName): [string[], (c: string[]) => void] {
  const key = `cms365.columns.${of}`;
  const [chosen, setChosen] = useState<string[]>(() => {
    try {
      const kept = JSON.parse(localStorage.getItem(key) ?? 'null') as unknown;
      const names = entity(of).fields.map((f) => f.name);
      return Array.isArray(kept) && kept.length ? kept.filter((c): c is string => names.includes(c as string)) : looks[of].columns;
    } catch {
      return looks[of].columns;
    }
  });
  return [chosen, (c) => {
    setChosen(c);
    try {
      localStorage.setItem(key, JSON.stringify(c));
    } catch {
      // holds for this page only
    }
  }];
}
function ColumnMenu({ of, chosen, choose }: { of: ContentName; chosen: string[]; choose: (c: string[]) => void }) {
  const all = entity(of).fields.filter((f) => !f.secret && f.kind !== 'json' && f.name !== looks[of].title && !looks[of].long?.includes(f.name) && !(f.kind === 'texts' && !f.change));
  return (
    <details class="menu">
      <summary class="button">{t('content.columns')}</summary>
      <div class="card pad">
        {all.map((f) => (
          <label class="check" key={f.name}>
            <input type="checkbox" checked={chosen.includes(f.name)} onChange={(e) => choose(e.currentTarget.checked ? [...chosen, f.name] : chosen.filter((c) => c !== f.name))} />
            {fieldLabel(of, f.name)}
          </label>
        ))}
      </div>
    </details>
  );
}

function useFilters(of: ContentName): Query {
  const q = query.value;
  const out: Query = {};
  const search = q.get('q');
  if (search) looks[of].search.forEach((name, i) => (out[`filter[or][${i}][${name}][contains]`] = search));
  for (const name of looks[of].filters) {
    const v = q.get(name);
    const f = entity(of).fields.find((d) => d.name === name);
    if (v && f) out[`filter[${name}]${f.kind === 'text' && name !== 'language' && name !== 'country' && name !== 'currency' ? '[contains]' : ''}`] = v;
  }
  return out;
}
const languages: Array<[string, string]> = ['de', 'en', 'fr', 'es', 'it', 'nl', 'pl'].map((l) => [l, l]);
function Filters({ of }: { of: ContentName }) {
  return (
    <>
      {looks[of].filters.map((name) => {
        const f = entity(of).fields.find((d) => d.name === name);
        if (f?.kind === 'enum') return <Filter key={name} name={name} label={fieldLabel(of, name)} choices={(f.choices ?? []).map((c) => [c, name === 'role' ? tr('role', c) : valueLabel(c)])} />;
        if (name === 'language') return <Filter key={name} name={name} label={fieldLabel(of, name)} choices={languages} />;
        if (f?.kind === 'text') return <Search key={name} name={name} label={fieldLabel(of, name)} />;
        return null;
      })}
    </>
  );
}

interface BulkResult {
  status: number;
  id?: number;
  problem?: { detail: string };
}
function Bulk({ of, chosen, list, done }: { of: ContentName; chosen: Set<number | string>; list: ListState<Row>; done: () => void }) {
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<string[]>([]);
  const ids = [...chosen].map(Number);
  const run = async (body: unknown, said: string): Promise<void> => {
    setBusy(true);
    setFailed([]);
    try {
      const a = await call<BulkResult[]>('PATCH', entity(of).path, { body, once: newKey(), query: { atomic: false } });
      const bad = a.data.map((r, i) => ({ r, id: ids[i] })).filter(({ r }) => r.status >= 400);
      setFailed(bad.map(({ r, id }) => `#${r.id ?? id ?? ''}: ${r.problem?.detail ?? r.status}`));
      const good = a.data.length - bad.length;
      if (good) toast(t('content.bulk_done', { n: good, what: said }));
      if (!bad.length) done();
      list.reload();
    } finally {
      setBusy(false);
    }
  };
  const go = (body: unknown, said: string): void => {
    run(body, said).catch((e: unknown) => {
      if (!(e instanceof Failure)) throw e;
      toast(e.message, 'bad');
    });
  };
  const status = (s: string): void => go({ ids, patch: { status: s } }, valueLabel(s));
  return (
    <div class="toolbar bulk" role="group" aria-label={t('content.bulk')}>
      <b>{t('content.chosen', { n: chosen.size })}</b>
      {(looks[of].live ? ['published', 'draft', 'archived'] : of === 'experts' || of === 'companies' ? ['active', 'inactive'] : []).map((s) => (
        <Button key={s} small busy={busy} onClick={() => status(s)}>{t('content.set', { what: valueLabel(s) })}</Button>
      ))}
      <Button small kind="danger" icon="trash" busy={busy} onClick={() => confirm({
        title: t('content.delete_many', { n: ids.length }), text: t('content.delete_about'), yes: t('action.delete'), danger: true,
        run: () => run(ids.map((id) => ({ op: 'delete', id })), t('value.deleted')),
      })}>{t('action.delete')}</Button>
      <Button small kind="plain" onClick={done}>{t('content.unchoose')}</Button>
      {failed.length > 0 && <Note kind="bad"><b>{t('content.bulk_failed', { n: failed.length })}</b>{failed.map((f) => <div key={f}>{f}</div>)}</Note>}
    </div>
  );
}

export function ContentTabs({ of, here }: { of: ContentName; here: 'list' | 'trash' }) {
  const to = of === 'users' ? '/users' : `/content/${of}`;
  return <Tabs items={[{ to, text: t('content.all'), here: here === 'list' }, { to: `/content/${of}/trash`, text: t('content.trash'), here: here === 'trash' }]} />;
}

export function ContentList({ of }: { of: ContentName }) {
  const def = entity(of);
  const list = useList<Row>(def.path, def.sort ?? 'id', useFilters(of));
  const [columns, setColumns] = useColumns(of);
  const [chosen, setChosen] = useState<Set<number | string>>(new Set());
  useEffect(() => setChosen(new Set()), [list.page, query.value.toString()]);
  const writable = may(def.write);
  const filtered = ['q', ...looks[of].filters].some((f) => query.value.get(f));
  const names = [looks[of].title, ...columns.filter((c) => c !== looks[of].title)];
  const shown: Array<Column<Row>> = names.map((name) => def.fields.find((f) => f.name === name)).filter((f): f is FieldDef => f !== undefined).map((f) => ({
    id: f.name, label: fieldLabel(of, f.name), sort: f.sort === true, main: f.name === looks[of].title, right: f.kind === 'int', show: (row: Row) => <Cell field={f} row={row} of={of} />,
  }));
  return (
    <>
      <Head title={entityLabel(of)} about={tr('entity.about', of)}>
        {writable && <Button kind="primary" icon="plus" to={of === 'users' ? '/users/invite' : `/content/${of}/new`}>{of === 'users' ? t('users.invite') : newOf(of)}</Button>}
      </Head>
      <ContentTabs of={of} here="list" />
      <Card>
        <div class="toolbar">
          <Search label={t('content.search')} />
          <Filters of={of} />
          <ColumnMenu of={of} chosen={columns} choose={setColumns} />
        </div>
        {chosen.size > 0 && <Bulk of={of} chosen={chosen} list={list} done={() => setChosen(new Set())} />}
        <ListBody
          list={list} label={entityLabel(of)} columns={shown}
          {...(writable ? { choosing: { chosen, choose: setChosen, name: (id: number | string) => titleOf(of, list.data?.find((r) => r.id === id)) } } : {})}
          empty={filtered ? <Empty icon="search" title={t('content.no_match')}>{t('content.no_match_about')}</Empty> : (
            <Empty icon="doc" title={t('content.none', { what: entityLabel(of) })} action={writable && of !== 'users' ? <Button kind="primary" icon="plus" to={`/content/${of}/new`}>{newOf(of)}</Button> : undefined}>
              {t('content.none_about')}
            </Empty>
          )}
        />
      </Card>
    </>
  );
}
export default function Page({ params }: { params: Params }) {
  const of = params['entity'] ?? '';
  return isContent(of) ? <ContentList of={of} /> : <NoEntity />;
}
