// What is and was unusual about the traffic, in words, and what people say to that.
import { useState } from 'preact/hooks';
import type { Anomaly } from '~api';
import { Failure, call } from '../lib/api';
import { language, number, t, type Message } from '../lib/i18n';
import { valueLabel } from '../lib/labels';
import { query } from '../lib/router';
import { may } from '../lib/session';
import { type Column, Filter, ListBody, useList } from '../ui/list';
import { Badge, Button, Card, Empty, Head, Time, failureText } from '../ui/parts';
import { toast } from '../ui/toast';
import { absent } from '../ui/traffic';

const path = '/api/v2/analytics/anomalies';
const signals = ['rate_high', 'rate_low', 'errors', 'latency', 'key_sharing', 'new_country', 'new_agent'] as const;
const days: Record<string, Message> = { Monday: 'day.monday', Tuesday: 'day.tuesday', Wednesday: 'day.wednesday', Thursday: 'day.thursday', Friday: 'day.friday', Saturday: 'day.saturday', Sunday: 'day.sunday' };

const about = (a: Anomaly): string =>
  a.key ? t('traffic.key', { id: String(a.key.id) }) : a.client ? t('traffic.client', { id: String(a.client.id) }) : a.route ? `${a.method ?? ''} ${a.route}` : t(`anomalies.of_${a.subject}` as Message);
/** The server explains in English; in German it is put together of the same fields. */
function words(a: Anomaly): string {
  if (language.value === 'en') return a.explanation;
  const [day, hour] = (a.slot ?? '').split('-');
  const slot = hour ? `${days[day ?? ''] ? t(days[day ?? ''] as Message) : day}, ${hour.replace('h', ' Uhr')}` : (day ?? '').replace('h', ' Uhr');
  const unit = (v: number): string => (a.unit === 'permille' ? `${number(v / 10)} %` : a.unit === 'ms' ? `${number(v)} ms` : number(v));
  return t(`anomalies.say_${a.signal}` as Message, { what: about(a), times: number(Math.round(a.factor_percent / 10) / 10), observed: unit(a.observed), usual: unit(a.usual), slot });
}
const mute_minutes = 24 * 60;

function Answer({ of: a, done }: { of: Anomaly; done: () => void }) {
  const [busy, setBusy] = useState(false);
  const say = async (what: string, body?: unknown): Promise<void> => {
    setBusy(true);
    try {
      await call('POST', `${path}/${a.id}/${what}`, body === undefined ? {} : { body });
      toast(t('anomalies.said'));
      done();
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      toast(failureText(e), 'bad');
    } finally {
      setBusy(false);
    }
  };
  const muted = a.muted_until !== null && Date.parse(a.muted_until ?? '') > Date.now();
  return (
    <span class="row">
      {muted ? <Button small busy={busy} onClick={() => void say('unmute')}>{t('anomalies.unmute')}</Button> : <Button small busy={busy} onClick={() => void say('mute', { minutes: mute_minutes })}>{t('anomalies.mute')}</Button>}
      <Button small kind="plain" aria-pressed={a.feedback === 'useful'} disabled={busy} onClick={() => void say('feedback', { verdict: 'useful' })}>{t('anomalies.useful')}</Button>
      <Button small kind="plain" aria-pressed={a.feedback === 'false_alarm'} disabled={busy} onClick={() => void say('feedback', { verdict: 'false_alarm' })}>{t('anomalies.false_alarm')}</Button>
    </span>
  );
}
export default function Anomalies() {
  const q = query.value;
  const list = useList<Anomaly>(path, '-started_at', { 'filter[status]': q.get('status'), 'filter[signal]': q.get('signal') });
  const columns: Array<Column<Anomaly>> = [
    { id: 'explanation', label: t('anomalies.what'), main: true, show: (a) => <span>{words(a)}{a.muted_until && Date.parse(a.muted_until) > Date.now() && <span class="quiet"> · {t('anomalies.muted')}</span>}</span> },
    { id: 'status', label: t('anomalies.state'), show: (a) => <Badge of={a.status} tone={a.status === 'open' ? 'warn' : 'good'} /> },
    { id: 'started_at', label: t('anomalies.since'), sort: true, show: (a) => <Time at={a.started_at} /> },
    { id: 'ended_at', label: t('anomalies.until'), show: (a) => <Time at={a.ended_at} none={t('anomalies.goes_on')} /> },
    ...(may('analytics:write') ? [{ id: 'do', label: t('anomalies.answer'), show: (a: Anomaly) => <Answer of={a} done={list.reload} /> }] : []),
  ];
  return (
    <>
      <Head title={t('nav.anomalies')} about={t('anomalies.about')} />
      {list.error && absent(list.error.status) && !list.data ? <Card><Empty icon="info" title={t('auto.absent')}>{t('traffic.absent')}</Empty></Card> : (
        <Card>
          <div class="toolbar">
            <Filter name="status" label={t('anomalies.state')} choices={[['open', valueLabel('open')], ['resolved', valueLabel('resolved')]]} />
            <Filter name="signal" label={t('anomalies.signal')} choices={signals.map((s) => [s, valueLabel(s)])} />
          </div>
          <ListBody list={list} label={t('nav.anomalies')} columns={columns} empty={<Empty icon="check" title={t('anomalies.none')}>{t('anomalies.none_about')}</Empty>} />
        </Card>
      )}
    </>
  );
}
