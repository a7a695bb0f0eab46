// Another secret, while the one before is accepted for a while.
import { useState } from 'preact/hooks';
import { call, Failure, keyFor, newKey } from '../lib/api';
import { t } from '../lib/i18n';
import { Dialog } from './dialog';
import { Choice } from './inputs';
import { Button, FailureNote, Secret } from './parts';

const spans: Array<[number, 'rotate.now' | 'rotate.hour' | 'rotate.day' | 'rotate.week' | 'rotate.month']> = [[0, 'rotate.now'], [3600, 'rotate.hour'], [86400, 'rotate.day'], [604800, 'rotate.week'], [2592000, 'rotate.month']];
/** `path` answers with the new secret in `field`. */
export function Rotate({ path, etag, field, label, max, onDone }: { path: string; etag: string | null; field: string; label: string; max: number; onDone: () => void }) {
  const [open, setOpen] = useState(false);
  const [span, setSpan] = useState('86400');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const [once] = useState(newKey);
  const close = (): void => {
    setOpen(false);
    if (secret !== null) onDone();
    setSecret(null);
    setFailure(null);
  };
  return (
    <>
      <Button icon="refresh" onClick={() => setOpen(true)}>{t('rotate.button')}</Button>
      {open && (
        <Dialog title={t('rotate.title')} onClose={close}>
          {secret !== null ? (
            <>
              <Secret label={label} text={secret} />
              <div class="ends"><Button kind="primary" onClick={close}>{t('create.kept')}</Button></div>
            </>
          ) : (
            <>
              <p>{t('rotate.about')}</p>
              <Choice label={t('rotate.overlap')} value={span} onChange={setSpan} choices={spans.filter(([s]) => s <= max).map(([s, m]) => [String(s), t(m)])} />
              {failure && <FailureNote failure={failure} />}
              <div class="ends">
                <Button onClick={close}>{t('action.cancel')}</Button>
                <Button kind="primary" busy={busy} onClick={async () => {
                  setBusy(true);
                  setFailure(null);
                  try {
                    const a = await call<Record<string, string | null>>('POST', path, { body: { overlap_seconds: Number(span) }, etag, once: keyFor(once, etag) });
                    setSecret(a.data[field] ?? '');
                  } catch (e) {
                    if (!(e instanceof Failure)) throw e;
                    setFailure(e);
                  } finally {
                    setBusy(false);
                  }
                }}>{t('rotate.button')}</Button>
              </div>
            </>
          )}
        </Dialog>
      )}
    </>
  );
}
