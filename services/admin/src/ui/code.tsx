// The editor for JSON and jq.  CodeMirror comes only when one is shown; till then, and if it fails to come, it is a text field.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { t } from '../lib/i18n';
import { Icon } from './icons';
import type { Mode } from './codemirror';

interface Props {
  label: string;
  value: string;
  onChange: (v: string) => void;
  mode: Mode;
  hint?: string | undefined;
  error?: string | undefined;
  lines?: number;
}
export function CodeField({ label, value, onChange, mode, hint, error, lines = 8 }: Props) {
  const id = useId();
  const host = useRef<HTMLDivElement>(null);
  const set = useRef<((v: string) => void) | null>(null);
  const latest = useRef(onChange);
  latest.current = onChange;
  const [plain, setPlain] = useState(false);
  useEffect(() => {
    let stop: (() => void) | null = null;
    let gone = false;
    import('./codemirror').then(
      (m) => {
        if (gone || !host.current) return;
        const e = m.mount(host.current, { value, mode, label, describedBy: hint ? `${id}-h` : null, lines, placeholder: '', onChange: (v) => latest.current(v) });
        stop = e.stop;
        set.current = e.set;
      },
      () => setPlain(true),
    );
    return () => {
      gone = true;
      stop?.();
    };
  }, [mode]);
  useEffect(() => set.current?.(value), [value]);
  return (
    <div class="field">
      <span class="label" id={id}>{label}</span>
      {plain ? (
        <textarea class="input mono" aria-labelledby={id} rows={lines} value={value} onInput={(e) => onChange(e.currentTarget.value)} />
      ) : (
        <div ref={host} class={`editor ${error ? 'invalid' : ''}`} style={{ minHeight: `${lines * 1.55}em` }} />
      )}
      {error && (
        <span class="error" role="alert">
          <Icon name="error" />
          {error}
        </span>
      )}
      <span class="hint" id={`${id}-h`}>{[hint, t('form.editor_keys')].filter(Boolean).join(' ')}</span>
    </div>
  );
}
/** The JSON of a text, or why it is none. */
export function readJson(text: string): { value: unknown; error?: undefined } | { value?: undefined; error: string } {
  try {
    return { value: text.trim() ? (JSON.parse(text) as unknown) : null };
  } catch (e) {
    return { error: t('form.bad_json', { why: e instanceof Error ? e.message : '' }) };
  }
}
