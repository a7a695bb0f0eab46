// Fields of an entity as form controls, by their kind; pages may put a control of their own in the place of one.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Form } from '../lib/form';
import { fieldHint, fieldLabel, valueLabel } from '../lib/labels';
import { t } from '../lib/i18n';
import { entity, type FieldDef, isContent, looks } from '../lib/schema';
import { CodeField, readJson } from './code';
import { Check, Choice, DateTime, Ref, type RefValue, Refs, Tags, Text } from './inputs';
import { Bones, FailureNote, Note, pretty } from './parts';

export type Widget = (p: { field: FieldDef; form: Form; label: string; hint: string | undefined; error: string | undefined }) => ComponentChildren;
const lines_from_chars = 400; // longer texts get several lines

export function EntityField({ field: f, form, widget }: { field: FieldDef; form: Form; widget?: Widget | undefined }) {
  const label = fieldLabel(form.of, f.name);
  const hint = fieldHint(f);
  const error = form.errors[f.name];
  const optional = form.creating ? !f.required : false;
  const value = form.values[f.name];
  const set = (v: unknown): void => form.set(f.name, v);
  const common = { label, hint, error, optional };
  if (widget) return <>{widget({ field: f, form, label, hint, error })}</>;
  switch (f.kind) {
    case 'enum':
      return <Choice {...common} value={String(value ?? '')} choices={(f.choices ?? []).map((c) => [c, valueLabel(c)])} none={f.required && value ? undefined : t('form.choose')} onChange={(v) => set(v || null)} />;
    case 'bool':
      return <Check label={label} hint={hint} value={value === true} onChange={set} />;
    case 'int':
      return <Text {...common} type="number" value={value === null || value === undefined ? '' : String(value)} onChange={(v) => set(v === '' ? null : Number(v))} />;
    case 'time':
      return <DateTime {...common} value={(value as string | null) ?? null} onChange={set} />;
    case 'texts':
      return <Tags {...common} value={(value as string[] | null) ?? []} onChange={set} />;
    case 'ref':
      return <Ref {...common} of={f.to ?? ''} value={(value as RefValue | null) ?? null} onChange={set} />;
    case 'refs':
      return <Refs {...common} of={f.to ?? ''} value={(value as RefValue[] | null) ?? []} onChange={set} />;
    case 'json':
      return <JsonField {...common} nullable={f.nullable === true && f.name !== 'meta'} value={value} onChange={set} onBad={(text) => form.setError(`json:${f.name}`, text)} bad={form.errors[`json:${f.name}`]} />;
    case 'text': {
      const long = isContent(form.of) && (looks[form.of].long?.includes(f.name) ?? false);
      const lines = (f.max ?? 0) > lines_from_chars && !/uri|email/.test(f.format ?? '') && !f.pattern ? 3 : undefined;
      return <Text {...common} value={String(value ?? '')} max={f.max} {...(long ? { long } : lines ? { lines } : {})} type={f.format === 'email' ? 'email' : f.format === 'uri' ? 'url' : 'text'} required={f.required} onChange={set} />;
    }
  }
}
function JsonField({ value, nullable, onChange, onBad, bad, ...f }: { value: unknown; nullable: boolean; onChange: (v: unknown) => void; onBad: (text: string | null) => void; bad: string | undefined; label: string; hint: string | undefined; error: string | undefined }) {
  const none = nullable ? null : {};
  const show = (v: unknown): string => (v === null || v === undefined ? (nullable ? '' : '{}') : pretty(v));
  const [text, setText] = useState(() => show(value));
  // Another state came from outside (a merge, a restore): show that.
  const read = readJson(text);
  const shown = read.error === undefined && JSON.stringify(read.value ?? none) !== JSON.stringify(value ?? none) ? show(value) : text;
  return (
    <CodeField label={f.label} hint={f.hint} error={bad ?? f.error} mode="json" lines={5} value={shown} onChange={(s) => {
      setText(s);
      const r = readJson(s);
      onBad(r.error ?? null);
      if (r.error === undefined) onChange(r.value ?? none);
    }} />
  );
}
/** The named fields, in this order; those that the form cannot write are left out. */
export function EntityFields({ form, names, widgets = {} }: { form: Form; names: string[]; widgets?: Record<string, Widget> }) {
  const fields = names.map((n) => entity(form.of).fields.find((f) => f.name === n)).filter((f): f is FieldDef => f !== undefined && (form.creating ? f.create === true : f.change === true));
  return (
    <>
      {fields.map((f) => (
        <EntityField key={f.name} field={f} form={form} widget={widgets[f.name]} />
      ))}
    </>
  );
}
/** What failed as a whole, and what the server said about fields that the form does not show. */
export function FormFailure({ form, shown }: { form: Form; shown: string[] }) {
  if (!form.failure) return null;
  const all = form.failure.problem.errors ?? [];
  const atFields = all.length > 0 && all.every((e) => shown.includes(e.pointer.replace(/^#?\/(data\/)?/, '').split('/')[0] ?? ''));
  return atFields ? <Note kind="bad"><b>{t('form.see_fields')}</b></Note> : <FailureNote failure={form.failure} />;
}
export const Loading = () => <Bones lines={9} />;
