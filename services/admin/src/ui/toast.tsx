// Short news at the edge of the page; also read out.
import { signal } from '@preact/signals';
import { t } from '../lib/i18n';
import { Icon } from './icons';

const shown = signal<Array<{ id: number; text: string; kind: 'good' | 'bad' }>>([]);
let last = 0;
const toast_ms = 7000;
export function toast(text: string, kind: 'good' | 'bad' = 'good'): void {
  const id = ++last;
  shown.value = [...shown.value.slice(-3), { id, text, kind }];
  if (kind === 'good') setTimeout(() => drop(id), toast_ms);
}
const drop = (id: number): void => {
  shown.value = shown.value.filter((s) => s.id !== id);
};
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.value.map((s) => (
        <div key={s.id} class={`toast ${s.kind}`}>
          <Icon name={s.kind === 'bad' ? 'error' : 'check'} />
          <span>{s.text}</span>
          <button type="button" aria-label={t('action.close')} onClick={() => drop(s.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
