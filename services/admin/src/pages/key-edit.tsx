// One API key: what it may, from where, until when.
import type { ApiKey } from '~api';
import { t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import type { Params } from '../lib/router';
import { ScopeWidget } from '../ui/access';
import { writable } from '../ui/create';
import { Credential } from '../ui/credential';
import { Time } from '../ui/parts';

const of = 'api_keys';
export default function KeyEdit({ params }: { params: Params }) {
  return (
    <Credential<ApiKey & Record<string, unknown>>
      of={of} id={params['id'] ?? ''} words="keys" crumb={{ to: '/access/keys', text: t('nav.keys') }}
      names={writable(of, 'change', ['name', 'device', 'scopes', 'expires_at', 'allowed_networks'])} widgets={{ scopes: ScopeWidget }}
      secret={(k) => ({ field: 'key', label: k.name, previous: 'previous-key' })}
      facts={(k) => [
        [fieldLabel(of, 'prefix'), <code>{k.prefix}…</code>],
        [fieldLabel(of, 'last_used_at'), <Time at={k.last_used_at} none={t('keys.never')} />],
        [fieldLabel(of, 'last_used_address'), k.last_used_address],
        [fieldLabel(of, 'last_used_agent'), k.last_used_agent],
        [fieldLabel(of, 'expires_at'), <Time at={k.expires_at} none={t('keys.no_end')} />],
      ]}
    />
  );
}
