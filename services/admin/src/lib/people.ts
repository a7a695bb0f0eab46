// What the platform offers for people beside their row: invitations, passwords, second factors, sessions.
import { has } from './schema';

export type Role = 'admin' | 'editor' | 'author' | 'member';
const of = (route: string): boolean => has(route);
/** Where an invitation is asked for; null: the platform sends none. */
export const inviteRoute = (id: number): string | null => (of('POST /api/v2/auth/users/{id}/invite') ? `/api/v2/auth/users/${id}/invite` : null);
/** The password is void from then on, and a link to choose another is mailed. */
export const resetRoute = (id: number): string | null => (of('POST /api/v2/auth/users/{id}/reset-password') ? `/api/v2/auth/users/${id}/reset-password` : null);
/** How somebody signs in, for administrators. */
export interface SignIn {
  has_password: boolean;
  second_factor: boolean;
  second_factor_required: boolean;
  recovery_codes_left: number;
  locked_until: string | null;
}
export const signInPath = (id: number): string => `/api/v2/auth/users/${id}`;
