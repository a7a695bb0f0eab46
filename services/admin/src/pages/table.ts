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
  path: string; // below /admin; ":name" is a parameter
  load: () => Promise<{ default: PageComponent }>;
  scope: string | null; // what a person's session must allow to see it
  nav?: { group: GroupId; icon: IconName; to?: string; label: `nav.${string}` & Message };
}
const none = null;

export const pages: PageRow[] = [
  { id: 'dashboard', path: '/', scope: none, load: () => import('./dashboard'), nav: { group: 'overview', icon: 'gauge', label: 'nav.dashboard' } },
  { id: 'signed-in', path: '/signed-in', scope: none, load: () => import('./signed-in') },
];
