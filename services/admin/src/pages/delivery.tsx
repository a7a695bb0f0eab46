// One delivery with its attempts; sending it again.
import type { ComponentChildren } from 'preact';
import type { WebhookAttempt, WebhookDelivery } from '~api';
import { useState } from 'preact/hooks';
import { call, Failure, newKey } from '../lib/api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import { useGet, useInterval } from '../lib/query';
import { Link, type Params, go } from '../lib/router';
import { entity, has } from '../lib/schema';
import { may } from '../lib/session';
import { Badge, Bones, Button, Card, Code, Facts, FailureNote, Head, Time, pretty } from '../ui/parts';
import { toast } from '../ui/toast';

const of = 'webhook_deliveries';
const refresh_ms = 3000;
const payloadRoute = `GET ${entity(of).path}/{id}/payload`;
function Attempt({ a }: { a: WebhookAttempt & Record<string, unknown> }) {
  const sent = a['request_headers'] as Record<string, string> | null | undefined;
  const got = a['response_headers'] as Record<string, string> | null | undefined;
  const times = ['dns_ms', 'connect_ms', 'tls_ms', 'first_byte_ms'].filter((k) => typeof a[k] === 'number').map((k) => `${fieldLabel(of, k)} ${String(a[k])} ms`);
  return (
    <Card title={t('deliveries.attempt', { n: a.attempt })} actions={<><Badge of={a.outcome} /> <Time at={a.created_at} /></>} pad>
      <div class="stack tight" data-attempt={a.attempt}>
        <Facts rows={[
          [t('field.response_code'), a.response_code], [t('field.latency_ms'), a.latency_ms === null ? null : `${a.latency_ms} ms${times.length ? ` (${times.join(', ')})` : ''}`],
          ...(a['trigger'] ? [[fieldLabel(of, 'trigger'), valueLabel(String(a['trigger']))] as [string, ComponentChildren]] : []),
          ...(a.error ? [[t('field.error'), a.error] as [string, ComponentChildren]] : []),
        ]} />
        {sent && <details><summary>{t('deliveries.sent')}</summary><Code label={t('deliveries.sent')}>{Object.entries(sent).map(([k, v]) => `${k}: ${v}`).join('\n')}</Code></details>}
        {got && <details><summary>{t('deliveries.got')}</summary><Code label={t('deliveries.got')}>{Object.entries(got).map(([k, v]) => `${k}: ${v}`).join('\n')}</Code></details>}
        {a.response_body && <details open><summary>{t('field.response_body')}</summary><Code label={t('field.response_body')}>{a.response_body}</Code></details>}
      </div>
    </Card>
  );
}
function Payload({ id }: { id: string }) {
  const got = useGet<{ body: string }>(has(payloadRoute) ? `${entity(of).path}/${id}/payload` : null);
  if (!has(payloadRoute)) return null;
  let text = got.data?.body ?? '';
  try {
    text = pretty(JSON.parse(text));
  } catch {
    // is shown as it is
  }
  return <Card title={t('deliveries.payload')} pad>{got.error ? <FailureNote failure={got.error} retry={got.reload} /> : got.data ? <Code label={t('deliveries.payload')}>{text}</Code> : <Bones />}</Card>;
}
export default function Delivery({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  const path = `${entity(of).path}/${id}`;
  const got = useGet<WebhookDelivery>(path);
  const attempts = useGet<Array<WebhookAttempt & Record<string, unknown>>>(`${path}/attempts`);
  const [once] = useState(newKey);
  const d = got.data;
  useInterval(() => { got.poll(); attempts.poll(); }, d && (d.status === 'pending' || d.status === 'failed') ? refresh_ms : null);
  const resend = async (): Promise<void> => {
    try {
      const a = await call<WebhookDelivery>('POST', `${path}/resend`, { once });
      toast(t('deliveries.resent'));
      if (a.data.id !== id) go(`/webhooks/deliveries/${a.data.id}`);
      else got.reload();
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      toast(e.message, 'bad');
    }
  };
  return (
    <>
      <Head title={d?.event ?? t('deliveries.one')} crumbs={[{ to: '/webhooks/deliveries', text: t('nav.deliveries') }]}>
        {d && may('webhooks:write') && <Button kind="primary" icon="send" onClick={() => void resend()}>{t('deliveries.resend')}</Button>}
      </Head>
      {got.error ? <FailureNote failure={got.error} retry={got.reload} /> : !d ? <Bones /> : (
        <div class="split">
          <div class="stack">
            <Card title={t('content.facts')} actions={<Badge of={d.status} />} pad>
              <Facts rows={[
                [fieldLabel(of, 'entity'), <code>{d.entity}</code>],
                [fieldLabel(of, 'endpoint'), d.endpoint ? <Link to={`/webhooks/endpoints/${d.endpoint.id}`}>#{d.endpoint.id}</Link> : null],
                [fieldLabel(of, 'event_id'), <code class="break">{d.event_id}</code>],
                [fieldLabel(of, 'trigger'), valueLabel(d.trigger)],
                [fieldLabel(of, 'attempts'), d.attempts],
                [fieldLabel(of, 'next_attempt_at'), <Time at={d.next_attempt_at} />],
                [fieldLabel(of, 'last_error'), d.last_error],
                [t('field.created_at'), <Time at={d.created_at} />],
              ]} />
            </Card>
            <Payload id={id} />
          </div>
          <div class="stack">
            {attempts.error ? <FailureNote failure={attempts.error} retry={attempts.reload} /> : !attempts.data ? <Bones /> : attempts.data.length ? attempts.data.map((a) => <Attempt key={a.id} a={a} />) : <Card pad><p class="quiet">{t('deliveries.no_attempt')}</p></Card>}
          </div>
        </div>
      )}
    </>
  );
}
