// What becomes of a source's messages, tried live on one that came in.
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { WebhookMessage, WebhookSource } from '~api';
import { Failure, call } from '../lib/api';
import { same, type Values } from '../lib/form';
import { dateTime, t } from '../lib/i18n';
import { useGet } from '../lib/query';
import type { Params } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { CodeField, readJson } from '../ui/code';
import { Edit, type Editing, SaveBar } from '../ui/editing';
import { FormFailure } from '../ui/entity-form';
import { Choice } from '../ui/inputs';
import { type FieldRow, FieldRows } from '../ui/mapping-fields';
import { Badge, Bones, Button, Card, Code, Empty, FailureNote, Head, Note, pretty } from '../ui/parts';
import { pointersOf } from '../lib/pointers';
import { sourceTabs } from './source-edit';

const of = 'webhook_sources';
const try_after_ms = 350;
const samples_max = 30;
type Mapping = { jq?: string; fields?: FieldRow[]; actions?: unknown[] };
type Source = WebhookSource & Record<string, unknown>;
interface Tried {
  results: unknown[];
  actions: Array<Record<string, unknown>>;
  error: string | null;
}
interface Content {
  body: string;
  body_encoding: string;
}
const templates: Array<[string, unknown]> = [
  ['upsert', { do: 'upsert', entity: 'post', key: 'slug' }],
  ['create', { do: 'create', entity: 'post' }],
  ['publish', { do: 'publish', entity: 'post', key: 'slug' }],
  ['emit', { do: 'emit' }],
];

/** Tries the mapping a moment after the last change; the last good answer stays while a new one is asked for. */
function useTrial(path: string, sample: Values | null, mapping: Mapping | null): { tried: Tried | null; failure: Failure | null; busy: boolean } {
  const [state, setState] = useState<{ tried: Tried | null; failure: Failure | null; busy: boolean }>({ tried: null, failure: null, busy: false });
  const key = sample && mapping ? JSON.stringify([sample, mapping]) : null;
  useEffect(() => {
    if (!key || !sample || !mapping) return;
    const control = new AbortController();
    const id = setTimeout(() => {
      setState((s) => ({ ...s, busy: true }));
      call<Tried>('POST', path, { body: { ...sample, mapping }, signal: control.signal }).then(
        (a) => setState({ tried: a.data, failure: null, busy: false }),
        (e: unknown) => {
          if (e instanceof Failure) setState({ tried: null, failure: e, busy: false });
        },
      );
    }, try_after_ms);
    return () => {
      clearTimeout(id);
      control.abort();
    };
  }, [key]);
  return state;
}

function Sample({ id, onSample }: { id: string; onSample: (sample: Values | null, body: unknown) => void }) {
  const list = useGet<WebhookMessage[]>('/api/v2/webhook-messages', { 'filter[source]': id, limit: samples_max, count: 'none' });
  const [chosen, setChosen] = useState<string | null>(null);
  const [own, setOwn] = useState('{\n  "title": "Hello"\n}');
  const now = chosen ?? list.data?.[0]?.id ?? (list.data ? 'own' : null);
  const content = useGet<Content>(now && now !== 'own' ? `/api/v2/webhook-messages/${now}/content` : null);
  const read = readJson(own);
  const stored = now !== 'own' ? content.data : null;
  useEffect(() => {
    if (now === 'own') onSample(read.error === undefined ? { body: read.value, content_type: 'application/json' } : null, read.value ?? null);
    else if (now && stored) onSample({ message_id: now }, stored.body_encoding === 'text' ? (readJson(stored.body).value ?? null) : null);
  }, [now, own, stored]);
  if (list.error) return <FailureNote failure={list.error} retry={list.reload} />;
  if (!list.data || !now) return <Bones lines={3} />;
  return (
    <div class="stack">
      <Choice label={t('mapping.sample')} hint={list.data.length ? undefined : t('mapping.no_sample')} value={now} onChange={setChosen} choices={[...list.data.map((m): [string, string] => [m.id, `${m.event ?? m.provider} · ${dateTime(m.created_at)}`]), ['own', t('mapping.own')]]} />
      {now === 'own' ? <CodeField label={t('mapping.own_body')} mode="json" lines={7} value={own} onChange={setOwn} error={read.error} /> : content.error ? <FailureNote failure={content.error} retry={content.reload} /> : !stored ? <Bones lines={4} /> : (
        <Code label={t('mapping.sample')}>{stored.body_encoding === 'text' ? (readJson(stored.body).error === undefined ? pretty(readJson(stored.body).value) : stored.body) : t('mapping.binary')}</Code>
      )}
    </div>
  );
}
function Outcome({ trial }: { trial: ReturnType<typeof useTrial> }) {
  if (trial.failure) return <div class="pad"><FailureNote failure={trial.failure} /></div>;
  if (!trial.tried) return trial.busy ? <Bones lines={4} /> : <Empty icon="play" title={t('mapping.no_trial')}>{t('mapping.no_trial_about')}</Empty>;
  const { results, actions, error } = trial.tried;
  return (
    <div class="stack pad" aria-live="polite" data-trial={error ? 'error' : 'ok'}>
      {error && <Note kind="bad"><b>{error}</b></Note>}
      {!error && (
        <>
          <div class="field">
            <span class="label">{t('mapping.results', { n: results.length })}</span>
            <Code label={t('mapping.results', { n: results.length })}>{results.map(pretty).join('\n')}</Code>
          </div>
          <div class="field">
            <span class="label">{t('mapping.actions', { n: actions.length })}</span>
            {actions.length ? actions.map((a, i) => (
              <div class="note" key={i}>
                <div>
                  <div class="row"><Badge of={String(a['do'] ?? a['kind'] ?? a['action'] ?? '')} tone="info" /> <b>{String(a['entity'] ?? '')}</b> {a['key'] !== undefined && a['key'] !== null && <code>{String(a['field'] ?? '')} {String(a['key'])}</code>}</div>
                  <pre>{pretty(a['data'] ?? a)}</pre>
                </div>
              </div>
            )) : <p class="quiet">{t('mapping.no_actions')}</p>}
          </div>
        </>
      )}
    </div>
  );
}

function Editor({ e, id }: { e: Editing<Source>; id: string }) {
  const stored = (e.form.values['mapping'] ?? {}) as Mapping;
  const [kind, setKind] = useState<'fields' | 'jq'>(stored.jq !== undefined ? 'jq' : 'fields');
  const [jq, setJq] = useState(stored.jq ?? '{ title: .title, slug: .id, status: "draft" }');
  const [fields, setFields] = useState<FieldRow[]>(stored.fields ?? [{ to: 'title', from: '/title' }]);
  const [actions, setActions] = useState(pretty(stored.actions ?? []));
  const [sample, setSample] = useState<Values | null>(null);
  const [body, setBody] = useState<unknown>(null);
  const readActions = readJson(actions);
  const wrong = readActions.error ?? (readActions.value !== null && !Array.isArray(readActions.value) ? t('mapping.not_list') : undefined);
  const mapping = useMemo<Mapping | null>(() => (wrong ? null : { ...(kind === 'jq' ? { jq } : { fields: fields.filter((f) => f.to) }), actions: (readActions.value as unknown[] | null) ?? [] }), [kind, jq, fields, actions]);
  const touched = mapping !== null && !(Object.keys(stored).length === 0 && same(mapping, { fields: [{ to: 'title', from: '/title' }], actions: [] }));
  useEffect(() => {
    if (mapping && touched) e.form.set('mapping', mapping);
  }, [mapping]);
  // Another state came from outside: a save, or a merge with somebody else's.
  useEffect(() => {
    if (!mapping || same(stored, mapping) || Object.keys(stored).length === 0) return;
    setKind(stored.jq !== undefined ? 'jq' : 'fields');
    if (stored.jq !== undefined) setJq(stored.jq);
    if (stored.fields) setFields(stored.fields);
    setActions(pretty(stored.actions ?? []));
  }, [e.form.base]);
  const trial = useTrial(`${entity(of).path}/${id}/dry-run`, sample, mapping);
  const pointers = useMemo(() => pointersOf(body), [body]);
  const save = (): void => void (wrong ? e.form.setError('mapping', wrong) : e.save({}, t('mapping.saved')));
  return (
    <form noValidate onSubmit={(ev) => { ev.preventDefault(); save(); }}>
      <div class="stack">
        <FormFailure form={e.form} shown={[]} />
        <div class="split">
          <div class="stack">
            <Card title={t('mapping.one')} actions={
              <div class="row" role="group" aria-label={t('mapping.kind')}>
                <Button small aria-pressed={kind === 'fields'} onClick={() => setKind('fields')}>{t('mapping.fields')}</Button>
                <Button small aria-pressed={kind === 'jq'} onClick={() => setKind('jq')}>jq</Button>
              </div>
            } pad>
              {kind === 'fields' ? <FieldRows rows={fields} pointers={pointers} onChange={setFields} /> : <CodeField label={t('mapping.program')} hint={t('mapping.program_about')} mode="jq" lines={9} value={jq} onChange={setJq} />}
            </Card>
            <Card title={t('mapping.two')} pad>
              <div class="stack">
                <p class="muted">{t('mapping.two_about')}</p>
                <div class="row">
                  {templates.map(([name, template]) => (
                    <Button key={name} small icon="plus" disabled={Boolean(wrong)} onClick={() => setActions(pretty([...((readActions.value as unknown[] | null) ?? []), template]))}>{name}</Button>
                  ))}
                </div>
                <CodeField label={t('mapping.actions_json')} mode="json" lines={7} value={actions} onChange={setActions} error={wrong} />
              </div>
            </Card>
          </div>
          <div class="stack">
            <Card title={t('mapping.sample')} pad><Sample id={id} onSample={(s, b) => { setSample(s); setBody(b); }} /></Card>
            <Card title={t('mapping.outcome')} actions={trial.busy ? <span class="quiet">{t('state.asking')}</span> : undefined}><Outcome trial={trial} /></Card>
          </div>
        </div>
      </div>
      {may('webhooks:write') && <SaveBar form={e.form} onSave={save} label={t('mapping.save')} />}
    </form>
  );
}
export default function SourceMapping({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  return (
    <Edit<Source> of={of} id={id}>
      {(e) => (
        <>
          <Head title={e.row.name} about={t('mapping.about')} crumbs={[{ to: '/webhooks/sources', text: t('nav.sources') }]} />
          {sourceTabs(id, 'mapping')}
          <Editor e={e} id={id} />
        </>
      )}
    </Edit>
  );
}
