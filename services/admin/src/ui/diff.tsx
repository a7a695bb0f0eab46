// Differences for people.
import { diffWords } from '../lib/diff';
import { dateTime, t } from '../lib/i18n';
import { valueLabel } from '../lib/labels';
import type { FieldDef } from '../lib/schema';
import { RefName } from './inputs';

export function showText(f: FieldDef | undefined, v: unknown): string {
  if (v === null || v === undefined || v === '' || (Array.isArray(v) && !v.length)) return '';
  if (f?.kind === 'time') return dateTime(String(v));
  if (f?.kind === 'enum') return valueLabel(String(v));
  if (f?.kind === 'texts') return (v as string[]).join(', ');
  if (f?.kind === 'ref') return `#${(v as { id: number }).id}`;
  if (f?.kind === 'refs') return (v as Array<{ id: number }>).map((r) => `#${r.id}`).join(', ');
  return typeof v === 'string' ? v : JSON.stringify(v, null, 2);
}
export function Value({ field, value }: { field: FieldDef | undefined; value: unknown }) {
  if (field?.kind === 'ref' && field.to && value) return <RefName of={field.to} id={(value as { id: number }).id} />;
  const text = showText(field, value);
  return text ? <pre>{text}</pre> : <span class="quiet">{t('diff.empty')}</span>;
}
export function Words({ from, to }: { from: string; to: string }) {
  return (
    <pre class="diff">
      {diffWords(from, to).map((p, i) => (p.kind === 'ins' ? <ins key={i}>{p.text}</ins> : p.kind === 'del' ? <del key={i}>{p.text}</del> : <span key={i}>{p.text}</span>))}
    </pre>
  );
}
