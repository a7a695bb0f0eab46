import { t } from '../lib/i18n';
import { Button, Empty } from './parts';
export const NoEntity = () => <Empty page icon="search" title={t('error.no_page')} action={<Button to="/">{t('action.home')}</Button>}>{t('error.no_page_about')}</Empty>;
