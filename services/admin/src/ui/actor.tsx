// "user:7 session:12", "key:3": who did it and what it was done to, in words and with a way there.
import { t, tr } from '../lib/i18n';
import { Link } from '../lib/router';
import { entities } from '../lib/schema';
import { Named } from './inputs';

const pages: Record<string, { of: string; to: string }> = {
  key: { of: 'api_keys', to: '/access/keys/' },
  client: { of: 'oauth_clients', to: '/access/clients/' },
  user: { of: 'users', to: '/users/' },
  grant: { of: 'oauth_grants', to: '' },
  source: { of: 'webhook_sources', to: '/webhooks/sources/' },
};
function One({ text }: { text: string }) {
  const [kind = '', id = ''] = text.split(':');
  const page = pages[kind];
  if (page && entities[page.of] && Number(id) > 0) {
    const name = <Named of={page.of} id={Number(id)} />;
    return page.to ? <Link to={page.to + id}>{name}</Link> : name;
  }
  return <span>{id ? `${tr('audit.of', kind)} ${id}` : tr('audit.of', kind)}</span>;
}
export const Subject = ({ of }: { of: string }) => <One text={of} />;
export function Actor({ of }: { of: string | null | undefined }) {
  const parts = (of ?? '').split(' ').filter((p) => p && !/:0$/.test(p));
  if (!parts.length) return <span>{t('audit.nobody')}</span>;
  return <>{parts.map((p, i) => <span key={p}>{i > 0 && ` ${t('audit.by')} `}<One text={p} /></span>)}</>;
}
