// A new API key: shown once.
import type { ApiKey } from '~api';
import { t } from '../lib/i18n';
import { ScopeWidget } from '../ui/access';
import { Create, writable } from '../ui/create';
import { Code, Secret } from '../ui/parts';

export default function KeyNew() {
  return (
    <Create<ApiKey & { key: string }>
      of="api_keys" title={t('keys.new')} about={t('keys.new_about')} crumb={{ to: '/access/keys', text: t('nav.keys') }}
      names={writable('api_keys', 'create', ['name', 'device', 'scopes', 'expires_at', 'allowed_networks', 'user'])}
      preset={{ scopes: ['api:read'] }} widgets={{ scopes: ScopeWidget }}
      to={(k) => `/access/keys/${k.id}`}
      made={(k) => (
        <>
          <Secret label={k.name} text={k.key} />
          <Code label={t('keys.try')}>{`curl -H "Authorization: Bearer ${k.key}" ${location.origin}/api/v2/posts`}</Code>
        </>
      )}
    />
  );
}
