// Choosing event types: all, all of an entity, or one by one.
import { t, tr } from '../lib/i18n';
import { eventTypes } from '../lib/schema';
import type { Widget } from './entity-form';
import { Icon } from './icons';

const entityOf = (e: string): string => e.slice(0, e.lastIndexOf('.'));
const groups = [...new Set(eventTypes.map(entityOf))];
export const EventsWidget: Widget = ({ field, form, label, hint, error }) => {
  const chosen = (form.values[field.name] as string[] | null) ?? [];
  const put = (next: string[]): void => form.set(field.name, next);
  const toggle = (name: string): void => put(chosen.includes(name) ? chosen.filter((c) => c !== name) : [...chosen, name]);
  const all = chosen.includes('*');
  return (
    <fieldset class="field" aria-describedby={error ? 'events-error' : undefined}>
      <legend>{label}</legend>
      <label class="check">
        <input type="checkbox" checked={all} onChange={() => put(all ? [] : ['*'])} />
        <span><b>{t('events.all')}</b></span>
      </label>
      <div class="scopes">
        {groups.map((g) => {
          const wild = `${g}.*`;
          return (
            <details key={g} open={chosen.some((c) => c.startsWith(`${g}.`))}>
              <summary class="label">{tr('event.group', g)}</summary>
              <label class="check">
                <input type="checkbox" disabled={all} checked={all || chosen.includes(wild)} onChange={() => put(chosen.includes(wild) ? chosen.filter((c) => c !== wild) : [...chosen.filter((c) => entityOf(c) !== g), wild])} />
                <code>{wild}</code>
              </label>
              {eventTypes.filter((e) => entityOf(e) === g).map((e) => (
                <label class="check" key={e}>
                  <input type="checkbox" disabled={all || chosen.includes(wild)} checked={all || chosen.includes(wild) || chosen.includes(e)} onChange={() => toggle(e)} />
                  <code>{e}</code>
                </label>
              ))}
            </details>
          );
        })}
      </div>
      {error && <span class="error" id="events-error"><Icon name="error" />{error}</span>}
      {hint && <span class="hint">{hint}</span>}
    </fieldset>
  );
};
