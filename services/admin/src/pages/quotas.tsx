// How much each key may use, and what it has.
import type { ApiKey } from '~api';
import { number, t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import { Link } from '../lib/router';
import { entity, field } from '../lib/schema';
import { RefName } from '../ui/inputs';
import { ListBody, useList } from '../ui/list';
import { Card, Empty, Head, Note, Time } from '../ui/parts';

const of = 'api_keys';
type Key = ApiKey & { rate_limit?: number | null; quota_monthly?: number | null; quota_used?: number | null };
const limited = field('rate_limit', of) !== undefined;
const counted = field('quota_used', of) !== undefined;
const amount = (n: number | null | undefined, none: string) => (typeof n === 'number' ? number(n) : <span class="quiet">{none}</span>);
export default function Quotas() {
  const list = useList<Key>(entity(of).path, '-last_used_at', { 'filter[status]': 'active' });
  return (
    <>
      <Head title={t('nav.quotas')} about={t('quotas.about')} />
      <div class="stack">
        {!limited && <Note>{t('quotas.absent')}</Note>}
        <Card>
          <ListBody
            list={list} label={t('nav.quotas')}
            columns={[
              { id: 'name', label: fieldLabel(of, 'name'), main: true, sort: true, show: (k) => <Link class="strong" to={`/access/keys/${k.id}`}>{k.name}</Link> },
              { id: 'user', label: fieldLabel(of, 'user'), show: (k) => (k.user ? <RefName of="users" id={k.user.id} /> : '–') },
              ...(limited ? [
                { id: 'rate_limit', label: t('quotas.rate'), right: true, show: (k: Key) => amount(k.rate_limit, t('quotas.default')) },
                { id: 'quota_monthly', label: t('quotas.month'), right: true, show: (k: Key) => amount(k.quota_monthly, t('quotas.unlimited')) },
              ] : []),
              ...(counted ? [{ id: 'quota_used', label: t('quotas.used'), right: true, show: (k: Key) => amount(k.quota_used, '–') }] : []),
              { id: 'last_used_at', label: fieldLabel(of, 'last_used_at'), sort: true, show: (k) => <Time at={k.last_used_at} none={t('keys.never')} /> },
            ]}
            empty={<Empty icon="meter" title={t('keys.none')}>{t('keys.none_about')}</Empty>}
          />
        </Card>
      </div>
    </>
  );
}
