// What fields are called, and what is said below them.
import { language, t, tr } from './i18n';
import { en } from '../i18n/en';
import type { FieldDef } from './schema';

/** `field.<entity>.<name>` if the name means something of its own there, else `field.<name>`. */
export const fieldLabel = (of: string, name: string): string => (`field.${of}.${name}` in en ? tr(`field.${of}`, name) : tr('field', name));
let german: Record<string, string> = {};
/** The tables of the API explain each field in English; the German words are beside them in i18n/hints-de.ts. */
export async function loadHints(): Promise<void> {
  if (language.value === 'de') german = (await import('../i18n/hints-de')).hints;
}
const hint_chars_min = 30; // shorter ones ("Headline.") say no more than the label
export function fieldHint(f: FieldDef): string | undefined {
  if (f.doc.length < hint_chars_min) return undefined;
  return (language.value === 'de' ? german[f.doc] : f.doc) || undefined;
}
export const valueLabel = (v: string): string => tr('value', v);
export const entityLabel = (of: string): string => tr('entity', of);
export const newOf = (of: string): string => tr('entity.new', of);
export const oneOf = (of: string): string => tr('entity.one', of);
export const yesNo = (b: boolean): string => t(b ? 'form.yes' : 'form.no');
