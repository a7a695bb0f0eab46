// Sending again what was missed since a time; counted first.
import { useState } from 'preact/hooks';
import { call, Failure, newKey } from '../lib/api';
import { t } from '../lib/i18n';
import { Dialog } from './dialog';
import { DateTime } from './inputs';
import { Button, FailureNote, Note } from './parts';
import { toast } from './toast';

interface Result {
  matched: number;
  sent?: number;
  remaining?: number;
}
/** `body` makes the request of a time; `label` names the button. */
export function CountedReplay({ path, body, label, title, about, onDone }: { path: string; body: (since: string, dry: boolean) => unknown; label: string; title: string; about: string; onDone?: () => void }) {
  const [open, setOpen] = useState(false);
  const [since, setSince] = useState<string | null>(new Date(Date.now() - 86_400_000).toISOString());
  const [counted, setCounted] = useState<number | null>(null);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [once, setOnce] = useState(newKey);
  const close = (): void => {
    setOpen(false);
    setCounted(null);
    setFailure(null);
  };
  const run = async (dry: boolean): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      const a = await call<Result>('POST', path, { body: body(since ?? '', dry), once: dry ? newKey() : once });
      if (dry) setCounted(a.data.matched);
      else {
        toast(t('replay.done', { n: a.data.sent ?? a.data.matched }));
        setOnce(newKey());
        close();
        onDone?.();
      }
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      setFailure(e);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button icon="undo" onClick={() => setOpen(true)}>{label}</Button>
      {open && (
        <Dialog title={title} onClose={close}>
          <p>{about}</p>
          <DateTime label={t('replay.since')} value={since} onChange={(v) => { setSince(v); setCounted(null); }} />
          {counted !== null && <Note>{t('replay.counted', { n: counted })}</Note>}
          {failure && <FailureNote failure={failure} />}
          <div class="ends">
            <Button onClick={close}>{t('action.cancel')}</Button>
            {counted === null ? <Button kind="primary" busy={busy} disabled={!since} onClick={() => void run(true)}>{t('replay.count')}</Button> : <Button kind="primary" icon="send" busy={busy} disabled={!counted} onClick={() => void run(false)}>{t('replay.go', { n: counted })}</Button>}
          </div>
        </Dialog>
      )}
    </>
  );
}
