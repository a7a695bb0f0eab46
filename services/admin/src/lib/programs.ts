// The programs behind the gateway, and what each is asked to see whether it answers: a small read that goes through to its
// database.  A program that is added gets a row here.
export interface ProgramRow {
  name: string;
  probe: string;
  optional?: boolean; // may be left out of an installation
}
export const programs: ProgramRow[] = [
  { name: 'api', probe: '/api/v2/posts?limit=1&fields=id&count=none' },
  { name: 'auth', probe: '/api/v2/auth/keys?limit=1&fields=id&count=none' },
  { name: 'webhooks-out', probe: '/api/v2/webhooks/endpoints?limit=1&fields=id&count=none' },
  { name: 'webhooks-in', probe: '/api/v2/webhook-sources?limit=1&fields=id&count=none' },
  { name: 'analytics', probe: '/api/v2/analytics/overview?window=1h', optional: true },
];
export interface Health {
  state: 'ok' | 'away' | 'absent' | 'unknown';
  ms: number;
}
export async function probe(p: ProgramRow): Promise<Health> {
  const begin = performance.now();
  try {
    const res = await fetch(p.probe, { cache: 'no-store', headers: { Accept: 'application/json' } });
    const ms = Math.max(1, Math.round(performance.now() - begin));
    await res.body?.cancel();
    if (res.status === 404 && p.optional) return { state: 'absent', ms };
    // 401 and 403 are answers too: the program is there, and says that this person may not.
    return { state: res.status >= 500 ? (p.optional ? 'absent' : 'away') : 'ok', ms };
  } catch {
    return { state: 'unknown', ms: 0 };
  }
}
