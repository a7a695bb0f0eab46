// Fields of OAuth clients that have a few named choices.
import { t } from '../lib/i18n';
import type { Widget } from './entity-form';
import { Check, Choice } from './inputs';
import { ScopeWidget } from './access';

const grants = ['authorization_code', 'refresh_token', 'client_credentials'];
const GrantWidget: Widget = ({ field, form, label, error }) => {
  const chosen = (form.values[field.name] as string[] | null) ?? [];
  return (
    <fieldset class="field">
      <legend>{label}</legend>
      {grants.map((g) => <Check key={g} label={<code>{g}</code>} value={chosen.includes(g)} onChange={(on) => form.set(field.name, on ? [...chosen, g] : chosen.filter((c) => c !== g))} />)}
      {error && <span class="error">{error}</span>}
    </fieldset>
  );
};
const AlgorithmWidget: Widget = ({ field, form, label, hint, error }) => (
  <Choice label={label} hint={hint} error={error} value={String(form.values[field.name] ?? 'ES256')} choices={[['ES256', 'ES256'], ['RS256', 'RS256']]} onChange={(v) => form.set(field.name, v)} />
);
export const clientWidgets: Record<string, Widget> = { scopes: ScopeWidget, grant_types: GrantWidget, signing_alg: AlgorithmWidget };
export const clientFields = ['name', 'website', 'type', 'redirect_uris', 'grant_types', 'scopes', 'role', 'token_endpoint_auth_method'];
export const clientSecretLabel = (): string => t('field.client_secret');
