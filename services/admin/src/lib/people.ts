// What the platform offers for people beside their row: invitations, passwords, second factors, sessions.
import { has } from './schema';

export type Role = 'admin' | 'editor' | 'author' | 'member';
const of = (route: string): boolean => has(route);
/** Where an invitation is asked for; null: the platform sends none. */
export const inviteRoute = (id: number): string | null => (of('POST /api/v2/auth/users/{id}/invite') ? `/api/v2/auth/users/${id}/invite` : null);
export const resetRoute = (id: number): string | null => (of('POST /api/v2/auth/users/{id}/reset') ? `/api/v2/auth/users/${id}/reset` : null);
