// Traffic, errors and latency of the last hour, from the analytics program; without it the panel says so.
import { t } from '../lib/i18n';
import { useGet } from '../lib/query';
import { Bones, Card, FailureNote, Note } from './parts';

/** Is this the answer of an installation without the analytics program? */
export const absent = (status: number): boolean => status === 404 || status === 502 || status === 503;

export function Traffic() {
  const got = useGet<unknown>('/api/v2/analytics/overview', { window: '1h' });
  return (
    <Card title={t('traffic.title')} pad>
      {got.error ? absent(got.error.status) ? <Note>{t('traffic.absent')}</Note> : <FailureNote failure={got.error} retry={got.reload} /> : got.data ? <Note>{t('traffic.present')}</Note> : <Bones lines={2} />}
    </Card>
  );
}
