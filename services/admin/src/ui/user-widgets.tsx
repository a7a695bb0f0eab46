import { t } from '../lib/i18n';
import type { Role } from '../lib/people';
import type { Widget } from './entity-form';
import { Choice } from './inputs';

const roles: Role[] = ['admin', 'editor', 'author', 'member'];
const RoleWidget: Widget = ({ field, form, label, error }) => {
  const v = String(form.values[field.name] ?? 'member') as Role;
  return <Choice label={label} hint={t(`role.about.${v}`)} error={error} value={v} choices={roles.map((r) => [r, t(`role.${r}`)])} onChange={(r) => form.set(field.name, r)} />;
};
const LocaleWidget: Widget = ({ field, form, label, hint, error }) => (
  <Choice label={label} hint={hint} error={error} value={String(form.values[field.name] ?? '')} none="–" choices={[['de', 'Deutsch'], ['en', 'English'], ...(['', 'de', 'en'].includes(String(form.values[field.name] ?? '')) ? [] : [[String(form.values[field.name]), String(form.values[field.name])] as [string, string]])]} onChange={(v) => form.set(field.name, v || null)} />
);
export const userWidgets: Record<string, Widget> = { role: RoleWidget, locale: LocaleWidget };
