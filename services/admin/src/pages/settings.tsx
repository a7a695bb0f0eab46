// The person's own: profile, looks, language.
import { signal } from '@preact/signals';
import { type Language, language, setLanguage, t } from '../lib/i18n';
import { loadHints } from '../lib/labels';
import { session } from '../lib/session';
import { Edit, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { Choice } from '../ui/inputs';
import { Card, Facts, Head } from '../ui/parts';
import type { Row } from './content-edit';

const mine = ['display_name', 'email', 'bio', 'website', 'avatar'];
const theme = signal(document.documentElement.dataset['theme'] ?? '');
function setTheme(name: string): void {
  theme.value = name;
  if (name) document.documentElement.dataset['theme'] = name;
  else delete document.documentElement.dataset['theme'];
  try {
    if (name) localStorage.setItem('cms365.theme', name);
    else localStorage.removeItem('cms365.theme');
  } catch {
    // holds for this page only
  }
}
function Looks() {
  return (
    <Card title={t('settings.looks')} pad>
      <div class="stack">
        <Choice label={t('settings.language')} value={language.value} choices={[['de', 'Deutsch'], ['en', 'English']]} onChange={(v) => void setLanguage(v as Language, true).then(loadHints)} />
        <Choice label={t('settings.theme')} value={theme.value} choices={[['', t('settings.theme_system')], ['light', t('settings.theme_light')], ['dark', t('settings.theme_dark')]]} onChange={setTheme} />
      </div>
    </Card>
  );
}
export default function Settings() {
  const who = session.value?.user;
  if (!who) return null;
  return (
    <>
      <Head title={t('nav.settings')} about={t('settings.about')} />
      <div class="form">
        <div class="stack">
          <Edit<Row> of="users" id={String(who.id)}>
            {(e) => (
              <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
                <div class="stack">
                  <FormFailure form={e.form} shown={mine} />
                  <Card title={t('settings.profile')} pad><div class="stack"><EntityFields form={e.form} names={mine} /></div></Card>
                </div>
                <SaveBar form={e.form} onSave={() => void e.save()} />
              </form>
            )}
          </Edit>
        </div>
        <div class="stack">
          <Looks />
          <Card title={t('settings.about_title')} pad>
            <div class="stack tight">
              <Facts rows={[[t('field.username'), who.username], [t('field.role'), t(`role.${who.role}`)]]} />
              <a href="/admin/licenses.txt">{t('settings.licences')}</a>
            </div>
          </Card>
        </div>
      </div>
    </>
  );
}
