// Two languages, one table each (i18n/en.ts, i18n/de.ts).  The types hold that both have the same names.
import { signal } from '@preact/signals';
import { en } from '../i18n/en';

export type Message = keyof typeof en;
export type Language = 'en' | 'de';
export const language = signal<Language>(document.documentElement.lang === 'de' ? 'de' : 'en');
const table = signal<Record<Message, string>>(en);

export async function setLanguage(l: Language, remember = false): Promise<void> {
  table.value = l === 'de' ? (await import('../i18n/de')).de : en;
  language.value = l;
  document.documentElement.lang = l;
  if (remember)
    try {
      localStorage.setItem('cms365.language', l);
    } catch {
      // forbidden: holds for this page only
    }
}

type Values = Record<string, string | number>;
/** The message with {name} filled in.  "one|many" takes its half by {n}. */
export function t(name: Message, values?: Values): string {
  let text: string = table.value[name];
  if (values) {
    if ('n' in values && text.includes('|')) text = text.split('|')[values['n'] === 1 ? 0 : 1] ?? text;
    text = text.replace(/\{(\w+)\}/g, (_, k: string) => {
      const v = values[k];
      return typeof v === 'number' ? number(v) : (v ?? '');
    });
  }
  return text;
}
const has = (name: string): name is Message => name in en;
/** For names that come from data, as a field or status; what has no message is shown as it is, spelled out. */
export function tr(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  if (has(key)) return t(key);
  const words = name.replace(/[_-]/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/* --- numbers and times --- */

const locale = (): string => (language.value === 'de' ? 'de-DE' : 'en-GB');
export const number = (n: number): string => n.toLocaleString(locale());
/** For the axis of a chart: 12.5K. */
export const short = (n: number): string => n.toLocaleString(locale(), { notation: 'compact', maximumFractionDigits: 1 });
export const dateTime = (iso: string): string => new Date(iso).toLocaleString(locale(), { dateStyle: 'medium', timeStyle: 'short' });
export const dayMonth = (iso: string): string => new Date(iso).toLocaleDateString(locale(), { day: 'numeric', month: 'short' });
export const day = (iso: string): string => new Date(iso).toLocaleDateString(locale(), { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
export const exact = (iso: string): string =>
  new Date(iso).toLocaleString(locale(), { dateStyle: 'full', timeStyle: 'long' });
const units: Array<[Intl.RelativeTimeFormatUnit, number]> = [['year', 31536e6], ['month', 2592e6], ['day', 864e5], ['hour', 36e5], ['minute', 6e4], ['second', 1e3]];
export function ago(iso: string, now = Date.now()): string {
  const ms = new Date(iso).getTime() - now;
  const f = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto', style: 'short' });
  for (const [unit, size] of units) if (Math.abs(ms) >= size || unit === 'second') return f.format(Math.trunc(ms / size), unit);
  return '';
}
export function bytes(n: number): string {
  const k = n < 1000 ? 0 : n < 1e6 ? 1 : n < 1e9 ? 2 : 3;
  return `${(n / 1000 ** k).toLocaleString(locale(), { maximumFractionDigits: k ? 1 : 0 })} ${['B', 'kB', 'MB', 'GB'][k]}`;
}
