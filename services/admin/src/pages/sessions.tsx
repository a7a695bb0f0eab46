// Where people are signed in.
import { t } from '../lib/i18n';
import { Browsers } from '../ui/browsers';
import { Card, Head } from '../ui/parts';

export default function Sessions() {
  return (
    <>
      <Head title={t('nav.sessions')} about={t('sessions.about')} />
      <Card><Browsers /></Card>
    </>
  );
}
