// What the second window shows for a moment, after somebody signed in again there.
import { useEffect } from 'preact/hooks';
import { t } from '../lib/i18n';
import { tellSignedIn } from '../lib/session';
import { Empty } from '../ui/parts';

export default function SignedIn() {
  useEffect(tellSignedIn, []);
  return <Empty page icon="check" title={t('session.back')}>{t('session.back_about')}</Empty>;
}
