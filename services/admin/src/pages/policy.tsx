// What holds for everybody: from where credentials are accepted at all, and who needs a second factor.
import { useState } from 'preact/hooks';
import { type Answer, change, Failure, get } from '../lib/api';
import { t } from '../lib/i18n';
import { useGet } from '../lib/query';
import { may } from '../lib/session';
import { Check, Tags } from '../ui/inputs';
import { Bones, Button, Card, FailureNote, Head, Note, Time } from '../ui/parts';
import { toast } from '../ui/toast';

interface Policy {
  allowed_networks: string[];
  totp_roles: string[];
  updated_at: string;
}
const path = '/api/v2/auth/policy';
const roles = ['admin', 'editor', 'author', 'member'] as const;
function Form({ first }: { first: Answer<Policy> }) {
  const [now, setNow] = useState(first);
  const [networks, setNetworks] = useState<string[]>(first.data.allowed_networks);
  const [need, setNeed] = useState<string[]>(first.data.totp_roles);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const write = may('settings:write');
  const dirty = JSON.stringify([networks, need]) !== JSON.stringify([now.data.allowed_networks, now.data.totp_roles]);
  const save = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      setNow(await change<Policy>(path, { allowed_networks: networks, totp_roles: need }, now.etag));
      toast(t('form.saved'));
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      if (e.status === 412) setNow(await get<Policy>(path));
      setFailure(e);
    } finally {
      setBusy(false);
    }
  };
  const wrong = failure?.problem.errors?.filter((e) => e.pointer.includes('allowed_networks')).map((e) => e.detail).join(' ') || undefined;
  return (
    <form class="stack" noValidate onSubmit={(e) => { e.preventDefault(); void save(); }}>
      {failure && !wrong && (failure.status === 412 ? <Note kind="warn">{t('policy.changed')}</Note> : <FailureNote failure={failure} />)}
      <div class="grid2">
        <Card title={t('policy.networks')} pad>
          <div class="stack">
            <p class="muted">{t('policy.networks_about')}</p>
            <Tags label={t('policy.networks_field')} hint={t('policy.networks_hint')} error={wrong} value={networks} onChange={setNetworks} />
          </div>
        </Card>
        <Card title={t('policy.totp')} pad>
          <fieldset class="field">
            <legend class="visually-hidden">{t('policy.totp')}</legend>
            <p class="muted">{t('policy.totp_about')}</p>
            {roles.map((r) => <Check key={r} label={t(`role.${r}`)} value={need.includes(r)} onChange={(on) => setNeed(on ? [...need, r] : need.filter((o) => o !== r))} />)}
          </fieldset>
        </Card>
      </div>
      <div class="savebar">
        <span role="status">{dirty ? t('form.unsaved') : <>{t('form.all_saved')} <Time at={now.data.updated_at} /></>}</span>
        {write && <Button kind="primary" type="submit" busy={busy} disabled={!dirty}>{t('form.save')}</Button>}
      </div>
    </form>
  );
}
export default function PolicyPage() {
  const got = useGet<Policy>(path);
  return (
    <>
      <Head title={t('nav.policy')} about={t('policy.about')} />
      {got.error ? <FailureNote failure={got.error} retry={got.reload} /> : got.answer ? <Form first={got.answer} /> : <Bones />}
    </>
  );
}
