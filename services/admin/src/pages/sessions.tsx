// Where people are signed in, and signing them out there.
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { has } from '../lib/schema';
import { AutoList } from '../ui/auto-list';
import { confirm } from '../ui/dialog';
import { Button, Head } from '../ui/parts';
import { toast } from '../ui/toast';

const path = '/api/v2/auth/sessions';
export default function Sessions() {
  return (
    <>
      <Head title={t('nav.sessions')} about={t('sessions.about')} />
      <AutoList
        path={path} label={t('nav.sessions')} none={t('sessions.none')} first={['user', 'agent', 'user_agent', 'address', 'last_used_at', 'created_at', 'expires_at']}
        {...(has(`DELETE ${path}/{id}`) ? {
          action: (row, list) => (
            <Button small kind="danger" onClick={() => confirm({
              title: t('sessions.end_title'), text: t('sessions.end_about'), yes: t('sessions.end'), danger: true,
              run: async () => {
                await call('DELETE', `${path}/${row.id}`);
                toast(t('sessions.ended'));
                list.reload();
              },
            })}>{t('sessions.end')}</Button>
          ),
        } : {})}
      />
    </>
  );
}
