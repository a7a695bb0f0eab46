// Registering an OAuth client.
import type { OauthClient } from '~api';
import { t } from '../lib/i18n';
import { clientFields, clientSecretLabel, clientWidgets } from '../ui/client-widgets';
import { Create, writable } from '../ui/create';
import { Facts, Secret } from '../ui/parts';

export default function ClientNew() {
  return (
    <Create<OauthClient & { client_secret: string | null }>
      of="oauth_clients" title={t('clients.new')} about={t('clients.new_about')} crumb={{ to: '/access/clients', text: t('nav.clients') }}
      names={writable('oauth_clients', 'create', clientFields)} widgets={clientWidgets}
      preset={{ scopes: ['api:read'], grant_types: ['authorization_code', 'refresh_token'], type: 'confidential' }}
      to={(c) => `/access/clients/${c.id}`}
      made={(c) => (
        <>
          <Facts rows={[[t('field.oauth_clients.client_id'), <code>{c.client_id}</code>]]} />
          {c.client_secret && <Secret label={clientSecretLabel()} text={c.client_secret} />}
        </>
      )}
    />
  );
}
