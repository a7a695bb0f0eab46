// The request log, and its end as it grows.
import { useRef, useState } from 'preact/hooks';
import { t } from '../lib/i18n';
import { useInterval } from '../lib/query';
import { AutoList, type AnyRow } from '../ui/auto-list';
import type { ListState } from '../ui/list';
import { Button, Head } from '../ui/parts';

const tail_ms = 2000;
export default function Requests() {
  const [tail, setTail] = useState(false);
  const list = useRef<ListState<AnyRow> | null>(null);
  useInterval(() => list.current?.poll(), tail ? tail_ms : null);
  return (
    <>
      <Head title={t('nav.requests')} about={t('requests.about')}>
        <Button icon={tail ? 'close' : 'play'} aria-pressed={tail} onClick={() => setTail(!tail)}>{tail ? t('requests.stop') : t('requests.tail')}</Button>
      </Head>
      <AutoList path="/api/v2/analytics/requests" label={t('nav.requests')} none={t('requests.none')} onList={(l) => (list.current = l)} first={['created_at', 'at', 'time', 'method', 'route', 'status', 'latency_ms', 'total_ms', 'key', 'program']} />
    </>
  );
}
