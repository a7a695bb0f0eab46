// The API, to be read and tried: as oneself, or with a key whose data is nobody else's.
import type { ApiKey } from '~api';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure, create, newKey } from '../lib/api';
import { exact, t } from '../lib/i18n';
import { csrf, may } from '../lib/session';
import { Bones, Button, Card, FailureNote, Head, Note, Secret } from '../ui/parts';
import type { Outgoing } from '../ui/swagger';

type SandboxKey = ApiKey & { key: string };
type Caller = 'me' | 'sandbox';

function Callers({ caller, choose }: { caller: Caller; choose: (c: Caller) => void }) {
  return (
    <fieldset class="row">
      <legend class="label">{t('docs.caller')}</legend>
      {(['me', 'sandbox'] as const).map((c) => (
        <label key={c} class="check">
          <input type="radio" name="caller" checked={caller === c} onChange={() => choose(c)} /> {t(`docs.as_${c}`)}
        </label>
      ))}
    </fieldset>
  );
}

export default function ApiDocs() {
  const host = useRef<HTMLDivElement>(null);
  const [caller, setCaller] = useState<Caller>('me');
  const [key, setKey] = useState<SandboxKey | null>(null);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [state, setState] = useState<'loading' | 'there' | 'failed'>('loading');
  const now = useRef({ caller, key });
  now.current = { caller, key };

  const send = (r: Outgoing): Outgoing => {
    const own = new URL(r.url, location.origin).origin === location.origin;
    if (!own) return r;
    const { caller: who, key: has } = now.current;
    if (who === 'sandbox' && has) r.headers['Authorization'] = `Bearer ${has.key}`;
    else if (r.method && r.method.toUpperCase() !== 'GET') r.headers['X-CMS365-CSRF'] = csrf.value;
    return r;
  };
  useEffect(() => {
    let gone = false;
    void Promise.all([import('../ui/swagger'), fetch('/openapi.json?for=me').then((r) => r.json() as Promise<object>)]).then(
      ([{ mount }, spec]) => {
        if (gone || !host.current) return;
        mount(host.current, spec, { samples: t('docs.samples') }, send);
        setState('there');
      },
      () => setState('failed'),
    );
    return () => {
      gone = true;
    };
  }, []);

  const take = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      setKey((await create<SandboxKey>('/api/v2/auth/sandbox-keys', undefined, newKey())).data);
      setCaller('sandbox');
    } catch (e) {
      if (!(e instanceof Failure)) throw e;
      setFailure(e);
    }
    setBusy(false);
  };
  return (
    <>
      <Head title={t('nav.api_docs')} about={t('docs.about')} />
      <div class="stack">
        <Card pad>
          <div class="stack tight">
            <Callers caller={caller} choose={setCaller} />
            {caller === 'me' && <Note kind="warn">{t('docs.me_about')}</Note>}
            {caller === 'sandbox' && <Note>{key ? t('docs.key_until', { at: exact(key.expires_at ?? '') }) : t('docs.sandbox_about')}</Note>}
            {caller === 'sandbox' && key && <Secret label={t('docs.key')} text={key.key} />}
            {caller === 'sandbox' && may('keys:write') && (
              <div class="row"><Button kind={key ? '' : 'primary'} icon="key" busy={busy} onClick={() => void take()}>{key ? t('docs.another') : t('docs.take')}</Button></div>
            )}
            {failure && <FailureNote failure={failure} />}
          </div>
        </Card>
        {state === 'loading' && <Bones lines={9} />}
        {state === 'failed' && <Note kind="bad">{t('error.load_about')}</Note>}
        <div ref={host} class="swagger" />
      </div>
    </>
  );
}
