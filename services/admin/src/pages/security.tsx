// The person's own password, second factor and browsers.
import { useState } from 'preact/hooks';
import { call, Failure } from '../lib/api';
import { t } from '../lib/i18n';
import { useGet } from '../lib/query';
import { session } from '../lib/session';
import { Dialog } from '../ui/dialog';
import { Text } from '../ui/inputs';
import { Badge, Bones, Button, Card, CopyButton, Facts, FailureNote, Head, Note, Time } from '../ui/parts';
import { Browsers } from '../ui/browsers';
import { toast } from '../ui/toast';

const totp = '/api/v2/auth/totp';
interface Factor {
  enabled: boolean;
  required: boolean;
  confirmed_at: string | null;
  recovery_codes_left: number;
}
/** Fields that are sent once, by a button; what the server says stands at the field. */
function useSend(): { busy: boolean; failure: Failure | null; at: (name: string) => string | undefined; send: (run: () => Promise<void>) => Promise<boolean> } {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const at = (name: string): string | undefined => failure?.problem.errors?.find((e) => e.pointer.replace(/^#?\//, '') === name)?.detail;
  const send = async (run: () => Promise<void>): Promise<boolean> => {
    setBusy(true);
    setFailure(null);
    try {
      await run();
      return true;
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      setFailure(e);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, failure, at, send };
}
const unsaid = (s: { failure: Failure | null }) => s.failure && !s.failure.problem.errors?.length && <FailureNote failure={s.failure} />;

function Password() {
  const [before, setBefore] = useState('');
  const [next, setNext] = useState('');
  const s = useSend();
  const save = async (): Promise<void> => {
    const done = await s.send(async () => void (await call('PUT', '/api/v2/auth/password', { body: { old_password: before, new_password: next } })));
    if (!done) return;
    setBefore('');
    setNext('');
    toast(t('security.password_changed'));
  };
  return (
    <Card title={t('security.password')} pad>
      <form class="stack" noValidate onSubmit={(e) => { e.preventDefault(); void save(); }}>
        <p class="muted">{t('security.password_about')}</p>
        <input type="text" autocomplete="username" value={session.value?.user.username} hidden readOnly />
        {unsaid(s)}
        <Text label={t('security.password_old')} type="password" auto="current-password" required value={before} error={s.at('old_password')} onChange={setBefore} />
        <Text label={t('security.password_new')} type="password" auto="new-password" required value={next} error={s.at('new_password')} hint={t('security.password_rule')} onChange={setNext} />
        <div class="row"><Button kind="primary" type="submit" busy={s.busy} disabled={!before || !next}>{t('security.password_change')}</Button></div>
      </form>
    </Card>
  );
}

function Codes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  return (
    <>
      <Note kind="good">{t('security.codes_about')}</Note>
      <ul class="codes" data-codes>{codes.map((c) => <li key={c}><code>{c}</code></li>)}</ul>
      <div class="ends">
        <CopyButton text={codes.join('\n')} />
        <Button kind="primary" onClick={onClose}>{t('create.kept')}</Button>
      </div>
    </>
  );
}
/** The password, the code from the app, then the recovery codes. */
function SetUp({ onClose }: { onClose: () => void }) {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [begun, setBegun] = useState<{ secret: string; uri: string; qr: string } | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const s = useSend();
  const begin = () => s.send(async () => setBegun((await call<{ secret: string; uri: string; qr: string }>('POST', totp, { body: { password } })).data));
  const confirm = () => s.send(async () => setCodes((await call<{ recovery_codes: string[] }>('POST', `${totp}/confirm`, { body: { code } })).data.recovery_codes));
  return (
    <Dialog title={t('security.totp_setup')} onClose={onClose}>
      {codes ? <Codes codes={codes} onClose={onClose} /> : (
        <form class="stack" noValidate onSubmit={(e) => { e.preventDefault(); void (begun ? confirm() : begin()); }}>
          {unsaid(s)}
          {!begun ? (
            <>
              <p>{t('security.totp_first')}</p>
              <Text label={t('security.password')} type="password" auto="current-password" required value={password} error={s.at('password')} onChange={setPassword} />
            </>
          ) : (
            <>
              <p>{t('security.totp_scan')}</p>
              <img class="qr" alt={t('security.totp_qr')} src={`data:image/svg+xml,${encodeURIComponent(begun.qr)}`} />
              <div class="field">
                <span class="label">{t('security.totp_key')}</span>
                <div class="secret"><code data-secret>{begun.secret}</code><CopyButton text={begun.secret} /></div>
              </div>
              <Text label={t('security.code')} inputMode="numeric" auto="one-time-code" required value={code} error={s.at('code')} onChange={setCode} />
            </>
          )}
          <div class="ends">
            <Button onClick={onClose}>{t('action.cancel')}</Button>
            <Button kind="primary" type="submit" busy={s.busy} disabled={begun ? !code : !password}>{t('security.go_on')}</Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
/** New recovery codes, or no second factor any more. */
function Change({ end, onClose }: { end: boolean; onClose: () => void }) {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [codes, setCodes] = useState<string[] | null>(null);
  const s = useSend();
  const run = async (): Promise<void> => {
    if (!end) {
      await s.send(async () => setCodes((await call<{ recovery_codes: string[] }>('POST', `${totp}/recovery-codes`, { body: { code } })).data.recovery_codes));
      return;
    }
    if (!(await s.send(async () => void (await call('POST', `${totp}/disable`, { body: { password, code } }))))) return;
    toast(t('security.totp_ended'));
    onClose();
  };
  return (
    <Dialog title={end ? t('security.totp_end') : t('security.codes_new')} onClose={onClose}>
      {codes ? <Codes codes={codes} onClose={onClose} /> : (
        <form class="stack" noValidate onSubmit={(e) => { e.preventDefault(); void run(); }}>
          <p>{end ? t('security.totp_end_about') : t('security.codes_new_about')}</p>
          {unsaid(s)}
          {end && <Text label={t('security.password')} type="password" auto="current-password" required value={password} error={s.at('password')} onChange={setPassword} />}
          <Text label={end ? t('security.code_or_recovery') : t('security.code')} auto="one-time-code" required value={code} error={s.at('code')} onChange={setCode} />
          <div class="ends">
            <Button onClick={onClose}>{t('action.cancel')}</Button>
            <Button kind={end ? 'danger' : 'primary'} type="submit" busy={s.busy} disabled={!code || (end && !password)}>{end ? t('security.totp_end') : t('security.go_on')}</Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
const few_codes = 3;
function SecondFactor() {
  const got = useGet<Factor>(totp);
  const [open, setOpen] = useState<'' | 'setup' | 'codes' | 'end'>('');
  const close = (): void => {
    setOpen('');
    got.reload();
  };
  const f = got.data;
  return (
    <Card title={t('security.totp')} actions={f && <Badge of={f.enabled ? 'on' : 'off'} tone={f.enabled ? 'good' : f.required ? 'bad' : 'warn'} />} pad>
      {got.error ? <FailureNote failure={got.error} retry={got.reload} /> : !f ? <Bones lines={3} /> : (
        <div class="stack">
          <p class="muted">{t('security.totp_about')}</p>
          {f.enabled ? (
            <>
              <Facts rows={[[t('security.totp_since'), <Time at={f.confirmed_at} />], [t('security.codes_left'), f.recovery_codes_left]]} />
              {f.recovery_codes_left <= few_codes && <Note kind="warn">{t('security.codes_few')}</Note>}
              <div class="row">
                <Button icon="refresh" onClick={() => setOpen('codes')}>{t('security.codes_new')}</Button>
                {!f.required && <Button kind="danger" onClick={() => setOpen('end')}>{t('security.totp_end')}</Button>}
              </div>
            </>
          ) : (
            <>
              {f.required && <Note kind="warn">{t('security.totp_required')}</Note>}
              <div class="row"><Button kind="primary" icon="shield" onClick={() => setOpen('setup')}>{t('security.totp_setup')}</Button></div>
            </>
          )}
        </div>
      )}
      {open === 'setup' && <SetUp onClose={close} />}
      {(open === 'codes' || open === 'end') && <Change end={open === 'end'} onClose={close} />}
    </Card>
  );
}
export default function Security() {
  const who = session.value?.user;
  return (
    <>
      <Head title={t('nav.security')} about={t('security.about')} />
      <div class="stack">
        <div class="grid2"><Password /><SecondFactor /></div>
        {who && <Card title={t('security.browsers')}><Browsers user={who.id} /></Card>}
      </div>
    </>
  );
}
