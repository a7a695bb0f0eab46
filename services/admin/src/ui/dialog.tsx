// Dialogs on <dialog>: focus is held in, Escape closes, focus returns.
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Failure } from '../lib/api';
import { t } from '../lib/i18n';
import { Button, FailureNote } from './parts';

export function Dialog({ title, wide, onClose, children }: { title: string; wide?: boolean; onClose: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const d = ref.current;
    const before = document.activeElement;
    d?.showModal();
    return () => {
      d?.close();
      // The dialog is out of the page by then, so the browser does not give the focus back itself.
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? 'wide' : ''}
      aria-labelledby={id}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
    >
      <div>
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface Question {
  title: string;
  text: ComponentChildren;
  yes: string;
  danger?: boolean;
  run: () => Promise<void>;
}
const asked = signal<Question | null>(null);
/** Asks before something that cannot simply be taken back; the dialog stays open with the reason if it fails. */
export function confirm(question: Question): void {
  asked.value = question;
}
function ConfirmBox({ q }: { q: Question }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const close = (): void => {
    asked.value = null;
  };
  return (
    <Dialog title={q.title} onClose={close}>
      <div>{q.text}</div>
      {failure && <FailureNote failure={failure} />}
      <div class="ends">
        <Button onClick={close}>{t('action.cancel')}</Button>
        <Button
          kind={q.danger ? 'danger' : 'primary'}
          busy={busy}
          onClick={async () => {
            setBusy(true);
            try {
              await q.run();
              close();
            } catch (e) {
              if (!(e instanceof Failure)) throw e;
              setFailure(e);
              setBusy(false);
            }
          }}
        >
          {q.yes}
        </Button>
      </div>
    </Dialog>
  );
}
export const Confirms = () => (asked.value ? <ConfirmBox q={asked.value} /> : null);
