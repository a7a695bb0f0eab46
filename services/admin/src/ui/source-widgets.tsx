// Fields of sources that have named choices.
import { t } from '../lib/i18n';
import { providerLabel, providerOf, providers } from '../lib/providers';
import type { Widget } from './entity-form';
import { Choice, Text } from './inputs';
import { Note } from './parts';

const ProviderWidget: Widget = ({ field, form, label, hint, error }) => {
  const chosen = providerOf(String(form.values[field.name] ?? ''));
  return (
    <>
      <Choice label={label} hint={hint} error={error} value={chosen?.name ?? ''} none={t('form.choose')} choices={providers.map((p) => [p.name, p.name === 'none' ? t('sources.no_check') : providerLabel(p.name)])} onChange={(v) => {
        form.set(field.name, v);
        const needs = providerOf(v)?.needs;
        if (needs && !Object.keys((form.values['settings'] as object | null) ?? {}).length) form.set('settings', Object.fromEntries(needs.map((n) => [n, ''])));
      }} />
      {chosen?.name === 'none' && <Note kind="warn">{t('sources.no_check_about')}</Note>}
    </>
  );
};
const SecretWidget: Widget = ({ field, form, label, hint, error }) => {
  const kind = providerOf(String(form.values['provider'] ?? ''))?.secret;
  if (kind === 'none') return null;
  return <Text label={label} hint={kind === 'ours' ? t('sources.secret_ours') : kind === 'theirs' ? t('sources.secret_theirs') : hint} error={error} optional={kind !== 'theirs'} type="password" auto="new-password" value={String(form.values[field.name] ?? '')} onChange={(v) => form.set(field.name, v)} />;
};
const ReasonWidget: Widget = ({ field, form, label, hint, error }) =>
  form.values['provider'] === 'none' || !form.creating ? <Text label={label} hint={hint} error={error} value={String(form.values[field.name] ?? '')} onChange={(v) => form.set(field.name, v)} /> : null;
const VerificationWidget: Widget = ({ field, form, label, error }) =>
  form.values['provider'] === 'none' && form.creating ? (
    <Choice label={label} error={error} value={String(form.values[field.name] ?? 'provider')} choices={[['provider', t('sources.verified')], ['none', t('sources.unverified')]]} onChange={(v) => form.set(field.name, v)} />
  ) : null;
const RetentionWidget: Widget = ({ field, form, label, error }) => (
  <Choice label={label} error={error} value={String(form.values[field.name] ?? 30)} choices={[7, 30, 90].map((d) => [String(d), t('sources.days', { n: d })])} onChange={(v) => form.set(field.name, Number(v))} />
);
export const sourceWidgets: Record<string, Widget> = { provider: ProviderWidget, secret: SecretWidget, verification: VerificationWidget, reason: ReasonWidget, retention_days: RetentionWidget };
export const sourceFields = ['name', 'provider', 'secret', 'verification', 'reason', 'slug', 'settings', 'allowed_networks', 'dedupe', 'order_by', 'rate_limit', 'retention_days'];
