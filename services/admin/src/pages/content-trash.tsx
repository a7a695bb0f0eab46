// What was deleted and can still be taken back.
import { useState } from 'preact/hooks';
import { Failure, call, get, newKey } from '../lib/api';
import { t } from '../lib/i18n';
import { entityLabel, oneOf } from '../lib/labels';
import { useGet, useInterval } from '../lib/query';
import { type Params, go } from '../lib/router';
import { type ContentName, entity, isContent } from '../lib/schema';
import { may } from '../lib/session';
import { confirm } from '../ui/dialog';
import { Table } from '../ui/list';
import { NoEntity } from '../ui/no-entity';
import { Bones, Button, Card, Empty, FailureNote, Head, Time } from '../ui/parts';
import { toast } from '../ui/toast';
import { ContentTabs, rowPath } from './content-list';

interface Gone {
  id: number;
  deleted_at: string;
  title: string | null; // null: it was removed for good
}
const nameOf = (of: ContentName, r: Gone): string => r.title || `${oneOf(of)} #${r.id}`;
function Trash({ of }: { of: ContentName }) {
  const path = entity(of).path;
  const first = useGet<Gone[]>(`${path}/changes`, { deleted_since: '1970-01-01T00:00:00Z', limit: 100 });
  const [more, setMore] = useState<{ rows: Gone[]; cursor: string | null } | null>(null);
  const cursor = more ? more.cursor : first.answer?.meta.more ? (first.answer.meta.next_cursor ?? null) : null;
  // A row that was deleted twice is there once, by its last deletion.
  const rows = [...new Map([...(first.data ?? []), ...(more?.rows ?? [])].map((r) => [r.id, r])).values()].filter((r) => r.title !== null).sort((a, b) => b.deleted_at.localeCompare(a.deleted_at));
  // The feed is a moment behind what was just deleted.
  useInterval(first.poll, more ? null : 2000);
  const refresh = (): void => {
    setMore(null);
    first.reload();
  };
  const restore = async (row: Gone): Promise<void> => {
    try {
      await call('POST', `${path}/${row.id}/restore`, { once: newKey() });
      toast(t('trash.restored', { what: nameOf(of, row) }));
      go(rowPath(of, row.id));
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      toast(e.message, 'bad');
    }
  };
  const purge = (row: Gone): void => confirm({
    title: t('trash.purge_title', { what: nameOf(of, row) }), text: t('trash.purge_about'), yes: t('trash.purge'), danger: true,
    run: async () => {
      await call('DELETE', `${path}/${row.id}`, { query: { purge: true } });
      toast(t('trash.purged'));
      refresh();
    },
  });
  return (
    <>
      <Head title={entityLabel(of)} about={t('trash.about')} />
      <ContentTabs of={of} here="trash" />
      <Card>
        {first.error ? <div class="pad"><FailureNote failure={first.error} retry={refresh} /></div> : !first.data ? <Bones /> : rows.length ? (
          <Table
            label={t('content.trash')} rows={rows}
            columns={[
              { id: 'title', label: t('trash.what'), main: true, show: (r) => <b>{nameOf(of, r)}</b> },
              { id: 'id', label: t('field.id'), show: (r) => <span class="quiet">#{r.id}</span> },
              { id: 'deleted_at', label: t('trash.when'), show: (r) => <Time at={r.deleted_at} /> },
              { id: 'do', label: '', right: true, show: (r) => (
                <span class="row">
                  <Button small icon="undo" onClick={() => void restore(r)}>{t('trash.restore')}</Button>
                  {may('api:admin') && <Button small kind="danger" onClick={() => purge(r)}>{t('trash.purge')}</Button>}
                </span>
              ) },
            ]}
          />
        ) : <Empty icon="trash" title={t('trash.none')}>{t('trash.none_about')}</Empty>}
        {cursor && (
          <div class="pager">
            <Button small onClick={async () => {
              const a = await get<Gone[]>(`${path}/changes`, { since: cursor, limit: 100 });
              setMore({ rows: [...(more?.rows ?? []), ...a.data.filter((g) => g.deleted_at)], cursor: a.meta.more ? (a.meta.next_cursor ?? null) : null });
            }}>{t('list.more')}</Button>
          </div>
        )}
      </Card>
    </>
  );
}
export default function Page({ params }: { params: Params }) {
  const of = params['entity'] ?? '';
  return isContent(of) ? <Trash of={of} /> : <NoEntity />;
}
