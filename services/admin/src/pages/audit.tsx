// Who did what with keys, people, sessions and rights.
import { t } from '../lib/i18n';
import { AutoList } from '../ui/auto-list';
import { Head } from '../ui/parts';

export default function Audit() {
  return (
    <>
      <Head title={t('nav.audit')} about={t('audit.about')} />
      <AutoList path="/api/v2/auth/audit" label={t('nav.audit')} none={t('audit.none')} first={['created_at', 'at', 'action', 'event', 'actor', 'user', 'subject', 'address']} without={['hash', 'previous_hash', 'prev_hash']} />
    </>
  );
}
