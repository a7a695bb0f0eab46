// A row of the content: its form, its life (draft, scheduled, published, archived), its end.
import { useState } from 'preact/hooks';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { entityLabel } from '../lib/labels';
import { type Params, go } from '../lib/router';
import { type ContentName, entity, isContent, looks, titleOf } from '../lib/schema';
import { may } from '../lib/session';
import { Dialog, confirm } from '../ui/dialog';
import { Edit, type Editing, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { DateTime } from '../ui/inputs';
import { NoEntity } from '../ui/no-entity';
import { Badge, Button, Card, Facts, Head, Note, Tabs, Time } from '../ui/parts';
import { toast } from '../ui/toast';

export type Row = Record<string, unknown> & { id: number; version: number; created_at: string; updated_at: string; status?: string; published_at?: string | null };
/** Main column and side column of an entity's form; every field that can be written is in one of them. */
export function columnsOf(of: ContentName, creating: boolean): { main: string[]; side: string[]; rest: string[] } {
  const names = entity(of).fields.filter((f) => (creating ? f.create : f.change)).map((f) => f.name);
  const side = looks[of].side.filter((n) => names.includes(n) && !(looks[of].live && n === 'status'));
  const long = looks[of].long ?? [];
  const rest = names.filter((n) => ['slug', 'seo_title', 'seo_description', 'meta', 'storage_key', 'sha256'].includes(n));
  const main = names.filter((n) => !side.includes(n) && !rest.includes(n) && !(looks[of].live && n === 'status'));
  return { main: [...main.filter((n) => !long.includes(n)), ...main.filter((n) => long.includes(n))], side, rest };
}

function Schedule({ e, onClose }: { e: Editing<Row>; onClose: () => void }) {
  const [at, setAt] = useState<string | null>(null);
  const [error, setError] = useState<string | undefined>();
  return (
    <Dialog title={t('content.schedule')} onClose={onClose}>
      <form class="stack" onSubmit={async (ev) => {
        ev.preventDefault();
        if (!at || new Date(at).getTime() <= Date.now()) return setError(t('content.schedule_past'));
        await e.save({ status: 'scheduled', published_at: at }, t('content.scheduled'));
        onClose();
      }}>
        <DateTime label={t('content.schedule_at')} hint={t('content.schedule_about')} error={error} value={at} onChange={(v) => { setAt(v); setError(undefined); }} />
        <div class="ends">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button kind="primary" type="submit" icon="clock">{t('content.schedule')}</Button>
        </div>
      </form>
    </Dialog>
  );
}
function Life({ e }: { e: Editing<Row> }) {
  const [asking, setAsking] = useState(false);
  const s = e.row.status ?? '';
  return (
    <Card title={t('content.state')} actions={<Badge of={s} />}>
      <div class="stack tight pad">
        <p class="quiet">
          {s === 'published' && <>{t('content.since')} <Time at={e.row.published_at} /></>}
          {s === 'scheduled' && <>{t('content.from')} <Time at={e.row.published_at} /></>}
          {s === 'draft' && t('content.draft_about')}
          {s === 'archived' && t('content.archived_about')}
        </p>
        <div class="row">
          {s !== 'published' && <Button kind="primary" icon="check" busy={e.form.busy} onClick={() => void e.save({ status: 'published', ...(s === 'scheduled' ? { published_at: null } : {}) }, t('content.published'))}>{t('content.publish')}</Button>}
          {s !== 'published' && <Button icon="clock" onClick={() => setAsking(true)}>{t('content.schedule')}</Button>}
          {(s === 'published' || s === 'scheduled') && <Button icon="undo" busy={e.form.busy} onClick={() => void e.save({ status: 'draft' }, t('content.unpublished'))}>{s === 'scheduled' ? t('content.unschedule') : t('content.unpublish')}</Button>}
          {s !== 'archived' && <Button busy={e.form.busy} onClick={() => void e.save({ status: 'archived' }, t('content.archived'))}>{t('content.archive')}</Button>}
        </div>
      </div>
      {asking && <Schedule e={e} onClose={() => setAsking(false)} />}
    </Card>
  );
}
export function EditTabs({ of, id, here }: { of: ContentName; id: string; here: 'edit' | 'history' }) {
  if (!looks[of].live) return null;
  return <Tabs items={[{ to: `/content/${of}/${id}`, text: t('content.edit'), here: here === 'edit' }, { to: `/content/${of}/${id}/history`, text: t('content.history'), here: here === 'history' }]} />;
}
export function remove(of: ContentName, e: Editing<Row>): void {
  confirm({
    title: t('content.delete_one', { what: titleOf(of, e.row) }), text: t('content.delete_about'), yes: t('action.delete'), danger: true,
    run: async () => {
      await call('DELETE', `${entity(of).path}/${e.row.id}`, { etag: e.etag });
      e.form.reset(e.form.base);
      toast(t('content.deleted'));
      setTimeout(() => go(of === 'users' ? '/users' : `/content/${of}`));
    },
  });
}
export function RowFacts({ row }: { row: Row }) {
  return (
    <Card title={t('content.facts')} pad>
      <Facts rows={[[t('field.id'), String(row.id)], [t('field.version'), String(row.version)], [t('field.created_at'), <Time at={row.created_at} />], [t('field.updated_at'), <Time at={row.updated_at} />]]} />
    </Card>
  );
}
function Editor({ of, id }: { of: ContentName; id: string }) {
  const columns = columnsOf(of, false);
  const all = [...columns.main, ...columns.side, ...columns.rest, 'status'];
  return (
    <Edit<Row> of={of} id={id}>
      {(e) => (
        <>
          <Head title={titleOf(of, e.row)} crumbs={[{ to: `/content/${of}`, text: entityLabel(of) }]}>
            {may(entity(of).write) && <Button kind="danger" icon="trash" onClick={() => remove(of, e)}>{t('action.delete')}</Button>}
          </Head>
          <EditTabs of={of} id={id} here="edit" />
          <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
            <div class="stack">
              <FormFailure form={e.form} shown={all} />
              {!may(entity(of).write) && <Note>{t('content.read_only')}</Note>}
              <div class="form">
                <div class="stack">
                  <div class="card pad"><EntityFields form={e.form} names={columns.main} /></div>
                  {columns.rest.length > 0 && <Card title={t('content.more')}><div class="stack pad"><EntityFields form={e.form} names={columns.rest} /></div></Card>}
                </div>
                <div class="stack">
                  {looks[of].live && <Life e={e} />}
                  <div class="card pad"><EntityFields form={e.form} names={columns.side} /></div>
                  <RowFacts row={e.row} />
                </div>
              </div>
            </div>
            <SaveBar form={e.form} onSave={() => void e.save()} />
          </form>
        </>
      )}
    </Edit>
  );
}
export default function Page({ params }: { params: Params }) {
  const of = params['entity'] ?? '';
  return isContent(of) ? <Editor of={of} id={params['id'] ?? ''} /> : <NoEntity />;
}
