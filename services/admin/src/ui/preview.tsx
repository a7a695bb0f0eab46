// What an endpoint would be sent, of a stored entity or a sample; and sending it once to see what comes back.
import { useState } from 'preact/hooks';
import { call, Failure } from '../lib/api';
import type { Form } from '../lib/form';
import { t } from '../lib/i18n';
import { entities, eventTypes, has } from '../lib/schema';
import { Dialog } from './dialog';
import { Choice, Ref, type RefValue } from './inputs';
import { Badge, Button, Code, Facts, FailureNote, Note, pretty } from './parts';

interface Shown {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
  matches: boolean;
  reason: string | null;
}
interface Tested {
  delivery_id: string;
  outcome: string;
  response_code: number | null;
  latency_ms: number | null;
  error: string | null;
  response_body: string | null;
}
export const canPreview = has('POST /api/v2/webhooks/preview');
export const canTest = has('POST /api/v2/webhooks/endpoints/{id}/test');
const readable = (body: string): string => {
  try {
    return pretty(JSON.parse(body));
  } catch {
    return body;
  }
};
const plural = (event: string): string => {
  const one = event.slice(0, event.lastIndexOf('.'));
  return one === 'media' ? 'media' : one === 'company' ? 'companies' : `${one}s`;
};

/** id null: of the form, which is not saved yet. */
export function Preview({ id, form }: { id: string | null; form: Form }) {
  const [open, setOpen] = useState(false);
  const chosen = (form.values['events'] as string[] | null) ?? [];
  const offered = eventTypes.filter((e) => entities[plural(e)] && (chosen.includes('*') || chosen.some((c) => c === e || (c.endsWith('.*') && e.startsWith(c.slice(0, -1))))));
  const [event, setEvent] = useState('');
  const now = offered.includes(event) ? event : (offered[0] ?? '');
  const [of, setOf] = useState<RefValue | null>(null);
  const [shown, setShown] = useState<Shown | null>(null);
  const [tested, setTested] = useState<Tested | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState('');
  const run = async (what: string, f: () => Promise<void>): Promise<void> => {
    setBusy(what);
    setFailure(null);
    try {
      await f();
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      setFailure(e);
    } finally {
      setBusy('');
    }
  };
  const which = { event: now, ...(of ? { entity_id: of.id } : {}) };
  const preview = (): Promise<void> => run('preview', async () => {
    const a = id && !form.dirty ? await call<Shown>('POST', `/api/v2/webhooks/endpoints/${id}/preview`, { body: which }) : await call<Shown>('POST', '/api/v2/webhooks/preview', { body: { endpoint: draft(form), ...which } });
    setShown(a.data);
  });
  const test = (): Promise<void> => run('test', async () => setTested((await call<Tested>('POST', `/api/v2/webhooks/endpoints/${id ?? ''}/test`, { body: which })).data));
  if (!canPreview) return null;
  return (
    <>
      <Button icon="eye" onClick={() => setOpen(true)}>{id ? t('preview.open_test') : t('preview.open')}</Button>
      {open && (
        <Dialog title={t('preview.title')} wide onClose={() => setOpen(false)}>
          {offered.length ? (
            <div class="split">
              <div class="stack">
                <Choice label={t('preview.event')} value={now} choices={offered.map((e) => [e, e])} onChange={(v) => { setEvent(v); setOf(null); setShown(null); }} />
                <Ref label={t('preview.entity')} hint={t('preview.entity_about')} optional of={plural(now)} value={of} onChange={setOf} />
                <div class="row">
                  <Button kind="primary" icon="eye" busy={busy === 'preview'} onClick={() => void preview()}>{t('preview.show')}</Button>
                  {id && canTest && <Button icon="send" busy={busy === 'test'} disabled={form.dirty} onClick={() => void test()}>{t('preview.test')}</Button>}
                </div>
                {failure && <FailureNote failure={failure} />}
                {tested && (
                  <Note kind={tested.outcome === 'delivered' ? 'good' : 'bad'}>
                    <b>{tested.outcome === 'delivered' ? t('preview.delivered') : t('preview.failed')}</b>
                    <Facts rows={[[t('field.response_code'), tested.response_code], [t('field.latency_ms'), tested.latency_ms === null ? null : `${tested.latency_ms} ms`], ...(tested.error ? [[t('field.error'), tested.error] as [string, string]] : [])]} />
                    {tested.response_body && <Code label={t('field.response_body')}>{tested.response_body}</Code>}
                  </Note>
                )}
              </div>
              <div class="stack">
                {shown ? (
                  <>
                    <p><Badge of={shown.matches ? 'matches' : 'no_match'} tone={shown.matches ? 'good' : 'warn'} /> {shown.reason}</p>
                    <Code label={t('preview.headers')}>{`${shown.method} ${shown.url}\n${Object.entries(shown.headers).map(([k, v]) => `${k}: ${v}`).join('\n')}`}</Code>
                    <Code label={t('preview.body')}>{readable(shown.body)}</Code>
                  </>
                ) : <p class="quiet">{t('preview.none')}</p>}
              </div>
            </div>
          ) : <Note>{t('preview.choose_events')}</Note>}
          <div class="ends"><Button onClick={() => setOpen(false)}>{t('action.close')}</Button></div>
        </Dialog>
      )}
    </>
  );
}
function draft(form: Form): Record<string, unknown> {
  return Object.fromEntries(Object.entries(form.values).filter(([k, v]) => v !== null && v !== '' && !(k === 'auth' && JSON.stringify(v).includes('"none"'))));
}
