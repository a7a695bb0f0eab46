// One OAuth client: what it may ask for, where it sends people back to.
import type { OauthClient } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel, valueLabel } from '../lib/labels';
import type { Params } from '../lib/router';
import { clientFields, clientSecretLabel, clientWidgets } from '../ui/client-widgets';
import { writable } from '../ui/create';
import { Credential } from '../ui/credential';

const of = 'oauth_clients';
export default function ClientEdit({ params }: { params: Params }) {
  return (
    <Credential<OauthClient & Record<string, unknown>>
      of={of} id={params['id'] ?? ''} words="clients" crumb={{ to: '/access/clients', text: t('nav.clients') }}
      names={writable(of, 'change', clientFields)} widgets={clientWidgets}
      secret={(c) => (c.type === 'confidential' && c.token_endpoint_auth_method !== 'private_key_jwt' ? { field: 'client_secret', label: clientSecretLabel(), previous: 'previous-secret' } : null)}
      facts={(c) => [
        [fieldLabel(of, 'client_id'), <code>{c.client_id}</code>],
        [fieldLabel(of, 'type'), valueLabel(c.type)],
        [fieldLabel(of, 'token_endpoint_auth_method'), <code>{c.token_endpoint_auth_method}</code>],
      ]}
    />
  );
}
