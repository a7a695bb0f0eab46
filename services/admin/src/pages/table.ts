// What pages there are.  A page is one file here with a default export, and one row below; docs/howto/add-admin-page.md.
// Its name in the menu is the message `nav.<id>` in both languages.
import type { ComponentType } from 'preact';
import type { Message } from '../lib/i18n';
import type { Params } from '../lib/router';
import type { IconName } from '../ui/icons';

export type PageComponent = ComponentType<{ params: Params }>;
export type GroupId = 'overview' | 'content' | 'access' | 'webhooks' | 'operations' | 'developers';
export interface PageRow {
  id: string;
  path: string; // below /admin; ":name" is a parameter.  The first row that fits answers
  load: () => Promise<{ default: PageComponent }>;
  scope: string | null; // what the person must be allowed to see it
  nav?: { group: GroupId; icon: IconName; label: `nav.${string}` & Message };
}
const row = (id: string, path: string, scope: string | null, load: PageRow['load'], nav?: PageRow['nav']): PageRow => ({ id, path, scope, load, ...(nav ? { nav } : {}) });
const content = () => import('./content-list');

export const pages: PageRow[] = [
  row('dashboard', '/', null, () => import('./dashboard'), { group: 'overview', icon: 'gauge', label: 'nav.dashboard' }),

  row('posts', '/content/posts', 'posts:read', content, { group: 'content', icon: 'doc', label: 'nav.posts' }),
  row('pages', '/content/pages', 'pages:read', content, { group: 'content', icon: 'page', label: 'nav.pages' }),
  row('events', '/content/events', 'events:read', content, { group: 'content', icon: 'calendar', label: 'nav.events' }),
  row('media', '/content/media', 'media:read', content, { group: 'content', icon: 'image', label: 'nav.media' }),
  row('experts', '/content/experts', 'experts:read', content, { group: 'content', icon: 'person', label: 'nav.experts' }),
  row('companies', '/content/companies', 'companies:read', content, { group: 'content', icon: 'building', label: 'nav.companies' }),
  row('content-new', '/content/:entity/new', null, () => import('./content-new')),
  row('content-trash', '/content/:entity/trash', null, () => import('./content-trash')),
  row('content-history', '/content/:entity/:id/history', null, () => import('./content-history')),
  row('content-edit', '/content/:entity/:id', null, () => import('./content-edit')),

  row('users', '/users', 'users:read', () => import('./users'), { group: 'access', icon: 'people', label: 'nav.users' }),
  row('user-invite', '/users/invite', 'users:write', () => import('./user-invite')),
  row('user-edit', '/users/:id', 'users:read', () => import('./user-edit')),
  row('keys', '/access/keys', 'keys:read', () => import('./keys'), { group: 'access', icon: 'key', label: 'nav.keys' }),
  row('key-new', '/access/keys/new', 'keys:write', () => import('./key-new')),
  row('key-edit', '/access/keys/:id', 'keys:read', () => import('./key-edit')),
  row('clients', '/access/clients', 'clients:read', () => import('./clients'), { group: 'access', icon: 'app', label: 'nav.clients' }),
  row('client-new', '/access/clients/new', 'clients:write', () => import('./client-new')),
  row('client-edit', '/access/clients/:id', 'clients:read', () => import('./client-edit')),
  row('grants', '/access/grants', 'grants:read', () => import('./grants'), { group: 'access', icon: 'shield', label: 'nav.grants' }),
  row('policy', '/access/policy', 'settings:read', () => import('./policy'), { group: 'access', icon: 'lock', label: 'nav.policy' }),
  row('sessions', '/access/sessions', null, () => import('./sessions'), { group: 'access', icon: 'device', label: 'nav.sessions' }),

  row('endpoints', '/webhooks/endpoints', 'webhooks:read', () => import('./endpoints'), { group: 'webhooks', icon: 'out', label: 'nav.endpoints' }),
  row('endpoint-new', '/webhooks/endpoints/new', 'webhooks:write', () => import('./endpoint-new')),
  row('endpoint-edit', '/webhooks/endpoints/:id', 'webhooks:read', () => import('./endpoint-edit')),
  row('deliveries', '/webhooks/deliveries', 'webhooks:read', () => import('./deliveries'), { group: 'webhooks', icon: 'list', label: 'nav.deliveries' }),
  row('delivery', '/webhooks/deliveries/:id', 'webhooks:read', () => import('./delivery')),
  row('sources', '/webhooks/sources', 'webhooks:read', () => import('./sources'), { group: 'webhooks', icon: 'in', label: 'nav.sources' }),
  row('source-new', '/webhooks/sources/new', 'webhooks:write', () => import('./source-new')),
  row('source-mapping', '/webhooks/sources/:id/mapping', 'webhooks:read', () => import('./source-mapping')),
  row('source-edit', '/webhooks/sources/:id', 'webhooks:read', () => import('./source-edit')),
  row('messages', '/webhooks/messages', 'webhooks:read', () => import('./messages'), { group: 'webhooks', icon: 'inbox', label: 'nav.messages' }),
  row('message', '/webhooks/messages/:id', 'webhooks:read', () => import('./message')),

  row('traffic', '/operations/traffic', 'analytics:read', () => import('./traffic'), { group: 'operations', icon: 'gauge', label: 'nav.traffic' }),
  row('requests', '/operations/requests', 'analytics:read', () => import('./requests'), { group: 'operations', icon: 'pulse', label: 'nav.requests' }),
  row('anomalies', '/operations/anomalies', 'analytics:read', () => import('./anomalies'), { group: 'operations', icon: 'warn', label: 'nav.anomalies' }),
  row('quotas', '/operations/quotas', 'keys:read', () => import('./quotas'), { group: 'operations', icon: 'meter', label: 'nav.quotas' }),
  row('audit', '/operations/audit', 'audit:read', () => import('./audit'), { group: 'operations', icon: 'lock', label: 'nav.audit' }),

  row('api-docs', '/api-docs', null, () => import('./api-docs'), { group: 'developers', icon: 'book', label: 'nav.api_docs' }),

  row('security', '/security', null, () => import('./security'), { group: 'overview', icon: 'shield', label: 'nav.security' }),
  row('settings', '/settings', null, () => import('./settings'), { group: 'overview', icon: 'gear', label: 'nav.settings' }),
  row('signed-in', '/signed-in', null, () => import('./signed-in')),
];
