// What keys, clients and grants share: choosing scopes and networks.
import { fieldHint, fieldLabel } from '../lib/labels';
import { t, tr } from '../lib/i18n';
import { may } from '../lib/session';
import { scopes } from '../lib/schema';
import type { Widget } from './entity-form';
import { Icon } from './icons';

const groups = [...new Set(scopes.map((s) => s.split(':')[0] ?? ''))];
/** Scopes by what they are about; those that the session lacks cannot be given. */
export const ScopeWidget: Widget = ({ field, form, label, error }) => {
  const chosen = (form.values[field.name] as string[] | null) ?? [];
  const toggle = (s: string): void => form.set(field.name, chosen.includes(s) ? chosen.filter((c) => c !== s) : [...chosen, s]);
  return (
    <fieldset class="field" aria-describedby={error ? 'scopes-error' : undefined}>
      <legend>{label}</legend>
      <div class="scopes">
        {groups.map((g) => (
          <div key={g}>
            <b class="quiet">{tr('scope.group', g)}</b>
            {scopes.filter((s) => s.startsWith(`${g}:`)).map((s) => (
              <label class="check" key={s}>
                <input type="checkbox" checked={chosen.includes(s)} disabled={!may(s) && !chosen.includes(s)} onChange={() => toggle(s)} />
                <code>{s}</code>
              </label>
            ))}
          </div>
        ))}
      </div>
      {error && <span class="error" id="scopes-error"><Icon name="error" />{error}</span>}
      <span class="hint">{fieldHint(field) ?? fieldLabel(form.of, field.name)} {t('scope.hint')}</span>
    </fieldset>
  );
};
export const Scopes = ({ of }: { of: string[] }) => <span class="row">{of.map((s) => <code key={s} class="badge bare">{s}</code>)}</span>;
