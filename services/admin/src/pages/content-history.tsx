// Former states of a row: who changed what and when, compared, and taken back.
import { useState } from 'preact/hooks';
import { call, keyFor, newKey } from '../lib/api';
import { t } from '../lib/i18n';
import { entityLabel, fieldLabel, valueLabel } from '../lib/labels';
import { useGet } from '../lib/query';
import { type Params, go, query, setQuery } from '../lib/router';
import { type ContentName, entity, field, isContent, titleOf } from '../lib/schema';
import { may } from '../lib/session';
import { Words, showText } from '../ui/diff';
import { confirm } from '../ui/dialog';
import { NoEntity } from '../ui/no-entity';
import { Bones, Button, Card, Empty, FailureNote, Head, Time } from '../ui/parts';
import { toast } from '../ui/toast';
import { EditTabs } from './content-edit';

interface Revision {
  rev: number;
  at: string;
  action: string;
  actor: string | null;
  request_id: string | null;
  changed: string[] | null;
  diff?: Record<string, { from: unknown; to: unknown }> | null;
}
const ignored = ['version', 'updated_at', 'created_at', 'id'];

function Compared({ of, path, rev, against }: { of: ContentName; path: string; rev: number; against: string }) {
  const got = useGet<Revision>(`${path}/revisions/${rev}`, { against });
  if (got.error) return <div class="pad"><FailureNote failure={got.error} retry={got.reload} /></div>;
  if (!got.data) return <Bones lines={4} />;
  const rows = Object.entries(got.data.diff ?? {}).filter(([name]) => !ignored.includes(name));
  if (!rows.length) return <Empty icon="check" title={t('history.equal')} />;
  return (
    <dl class="stack pad">
      {rows.map(([name, d]) => (
        <div key={name} class="field" data-diff={name}>
          <dt class="label">{fieldLabel(of, name)}</dt>
          <dd><Words from={showText(field(name, of), d.from)} to={showText(field(name, of), d.to)} /></dd>
        </div>
      ))}
    </dl>
  );
}
function History({ of, id }: { of: ContentName; id: string }) {
  const path = `${entity(of).path}/${id}`;
  const row = useGet<Record<string, unknown>>(path);
  const list = useGet<Revision[]>(`${path}/revisions`, { per_page: 100 });
  const [once] = useState(newKey);
  const chosen = Number(query.value.get('rev')) || list.data?.[0]?.rev || 0;
  const against = query.value.get('against') ?? 'present';
  const restore = (r: Revision): void => confirm({
    title: t('history.restore_title', { n: r.rev }), text: t('history.restore_about'), yes: t('history.restore'),
    run: async () => {
      await call('POST', `${path}/revisions/${r.rev}/restore`, { etag: row.answer?.etag ?? null, once: keyFor(once, `${r.rev}-${row.answer?.etag ?? ''}`) });
      toast(t('history.restored', { n: r.rev }));
      setTimeout(() => go(`/content/${of}/${id}`));
    },
  });
  const failure = row.error ?? list.error;
  return (
    <>
      <Head title={titleOf(of, row.data) || t('content.history')} crumbs={[{ to: `/content/${of}`, text: entityLabel(of) }]} />
      <EditTabs of={of} id={id} here="history" />
      {failure ? <FailureNote failure={failure} retry={() => { row.reload(); list.reload(); }} /> : !list.data ? <Bones /> : !list.data.length ? (
        <Card><Empty icon="clock" title={t('history.none')}>{t('history.none_about')}</Empty></Card>
      ) : (
        <div class="split">
          <Card title={t('history.title')}>
            <ul class="list">
              {list.data.map((r) => (
                <li key={r.rev} class={r.rev === chosen ? 'chosen' : ''}>
                  <span class="grow">
                    <Button kind="plain" small aria-pressed={r.rev === chosen} onClick={() => setQuery({ rev: String(r.rev) })}>{t('history.version', { n: r.rev })}</Button>
                    <span class="quiet"> {valueLabel(r.action)}: {(r.changed ?? []).filter((c) => !ignored.includes(c)).map((c) => fieldLabel(of, c)).join(', ') || '–'}</span>
                    <br />
                    <span class="quiet">{r.actor} · <Time at={r.at} /></span>
                  </span>
                  {may(entity(of).write) && <Button small icon="undo" onClick={() => restore(r)}>{t('history.restore')}</Button>}
                </li>
              ))}
            </ul>
          </Card>
          <Card
            title={t('history.compare', { n: chosen })}
            actions={
              <select class="input narrow" aria-label={t('history.against')} value={against} onChange={(e) => setQuery({ against: e.currentTarget.value === 'present' ? null : e.currentTarget.value })}>
                <option value="present">{t('history.present')}</option>
                {list.data.filter((r) => r.rev !== chosen).map((r) => <option key={r.rev} value={String(r.rev)}>{t('history.version', { n: r.rev })}</option>)}
              </select>
            }
          >
            {chosen > 0 && <Compared of={of} path={path} rev={chosen} against={against} />}
          </Card>
        </div>
      )}
    </>
  );
}
export default function Page({ params }: { params: Params }) {
  const of = params['entity'] ?? '';
  return isContent(of) ? <History of={of} id={params['id'] ?? ''} /> : <NoEntity />;
}
