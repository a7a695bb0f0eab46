// One incoming message: as it came, what was made of it, and again.
import { useState } from 'preact/hooks';
import type { WebhookMessage } from '~api';
import { Failure, call, newKey } from '../lib/api';
import { bytes, t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import { providerLabel } from '../lib/providers';
import { useGet, useInterval } from '../lib/query';
import { Link, type Params } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { readJson } from '../ui/code';
import { Badge, Bones, Button, Card, Code, Facts, FailureNote, Head, Time, pretty } from '../ui/parts';
import { toast } from '../ui/toast';

const of = 'webhook_messages';
const refresh_ms = 2500;
interface Content {
  query: string;
  headers: Record<string, string>;
  body: string;
  body_encoding: string;
  results: unknown[];
  actions: Array<Record<string, unknown>>;
}
export default function Message({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  const path = `${entity(of).path}/${id}`;
  const got = useGet<WebhookMessage>(path);
  const content = useGet<Content>(`${path}/content`);
  const [once, setOnce] = useState(newKey);
  const m = got.data;
  const c = content.data;
  useInterval(() => { got.poll(); content.poll(); }, m && ['accepted', 'working', 'failed'].includes(m.status) ? refresh_ms : null);
  const replay = async (): Promise<void> => {
    try {
      await call('POST', `${path}/replay`, { once });
      setOnce(newKey());
      toast(t('messages.replayed'));
      got.reload();
      content.reload();
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      toast(e.message, 'bad');
    }
  };
  const body = c ? readJson(c.body) : null;
  return (
    <>
      <Head title={m ? (m.event ?? providerLabel(m.provider)) : t('messages.one')} crumbs={[{ to: '/webhooks/messages', text: t('nav.messages') }]}>
        {m?.source && <Button icon="gear" to={`/webhooks/sources/${m.source.id}/mapping`}>{t('sources.mapping')}</Button>}
        {m && may('webhooks:write') && <Button kind="primary" icon="undo" onClick={() => void replay()}>{t('messages.replay')}</Button>}
      </Head>
      {got.error ? <FailureNote failure={got.error} retry={got.reload} /> : !m ? <Bones /> : (
        <div class="split">
          <div class="stack">
            <Card title={t('content.facts')} actions={<Badge of={m.status} />} pad>
              <Facts rows={[
                [fieldLabel(of, 'provider'), providerLabel(m.provider)], [fieldLabel(of, 'source'), m.source ? <Link to={`/webhooks/sources/${m.source.id}`}>#{m.source.id}</Link> : null],
                [fieldLabel(of, 'dedupe_key'), <code class="break">{m.dedupe_key}</code>], [fieldLabel(of, 'attempts'), m.attempts], [t('field.error'), m.error],
                [fieldLabel(of, 'mapping_version'), m.mapping_version], [fieldLabel(of, 'next_attempt_at'), <Time at={m.next_attempt_at} />], [fieldLabel(of, 'address'), m.address],
                [fieldLabel(of, 'size_bytes'), bytes(m.size_bytes)], [t('field.created_at'), <Time at={m.created_at} />],
              ]} />
            </Card>
            <Card title={t('messages.actions')} pad>
              {!c ? <Bones lines={3} /> : c.actions.length ? (
                <div class="stack tight">{c.actions.map((a, i) => <div class="note" key={i}><div><div class="row"><b>{String(a['do'] ?? a['kind'] ?? a['action'] ?? '')}</b> {String(a['entity'] ?? '')} {typeof a['status'] === 'string' && <Badge of={a['status']} />}</div><pre>{pretty(a)}</pre></div></div>)}</div>
              ) : <p class="quiet">{t('messages.no_actions')}</p>}
            </Card>
          </div>
          <div class="stack">
            {content.error && <FailureNote failure={content.error} retry={content.reload} />}
            <Card title={t('messages.body')} pad>{c ? <Code label={t('messages.body')}>{body?.error === undefined ? pretty(body?.value) : c.body}</Code> : <Bones />}</Card>
            {c && c.results.length > 0 && <Card title={t('messages.results')} pad><Code label={t('messages.results')}>{c.results.map(pretty).join('\n')}</Code></Card>}
            <Card title={t('messages.headers')} pad>{c ? <Code label={t('messages.headers')}>{`${m.method} ${c.query ? `?${c.query}` : ''}\n${Object.entries(c.headers).map(([k, v]) => `${k}: ${v}`).join('\n')}`}</Code> : <Bones />}</Card>
          </div>
        </div>
      )}
    </>
  );
}
