// Reading a row, changing it under If-Match, and what happens when somebody else was quicker.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Answer, Failure, change, get } from '../lib/api';
import { type Form, type Values, ofRow, useForm } from '../lib/form';
import { t } from '../lib/i18n';
import { useGet } from '../lib/query';
import { entity } from '../lib/schema';
import { Conflict } from './conflict';
import { Loading } from './entity-form';
import { Button, FailureNote } from './parts';
import { toast } from './toast';

export interface Editing<R> {
  form: Form;
  row: R;
  etag: string | null;
  /** Saves what was typed, and `also`; false: it was not saved. */
  save: (also?: Values, said?: string) => Promise<boolean>;
  /** Takes over what another call answered. */
  take: (answer: Answer<R>) => void;
  reload: () => Promise<void>;
}
export function Edit<R extends Values>({ of, id, children }: { of: string; id: string; children: (e: Editing<R>) => ComponentChildren }) {
  const path = `${entity(of).path}/${id}`;
  const first = useGet<R>(path);
  if (first.error && !first.data) return <FailureNote failure={first.error} retry={first.reload} />;
  if (!first.answer) return <Loading />;
  return <Loaded of={of} path={path} first={first.answer}>{children}</Loaded>;
}
function Loaded<R extends Values>({ of, path, first, children }: { of: string; path: string; first: Answer<R>; children: (e: Editing<R>) => ComponentChildren }) {
  const [now, setNow] = useState<Answer<R>>(first);
  const [theirs, setTheirs] = useState<Answer<R> | null>(null);
  const form = useForm(of, false, () => ofRow(of, first.data));
  const take = (a: Answer<R>): void => {
    setNow(a);
    form.reset(ofRow(of, a.data));
  };
  const save = (also: Values = {}, said?: string): Promise<boolean> =>
    form.submit(async () => {
      try {
        take(await change<R>(path, { ...form.body(), ...also }, now.etag));
        toast(said ?? t('form.saved'));
      } catch (e) {
        if (!(e instanceof Failure) || e.status !== 412) throw e;
        setTheirs(await get<R>(path));
        throw e;
      }
    });
  const reload = async (): Promise<void> => take(await get<R>(path));
  return (
    <>
      {children({ form, row: now.data, etag: now.etag, save, take, reload })}
      {theirs && (
        <Conflict form={form} theirs={theirs.data} onClose={() => setTheirs(null)} onMerged={(row, values) => {
          setNow(theirs);
          form.reset(ofRow(of, row as Values), values);
          setTheirs(null);
          toast(t('conflict.merged'));
        }} />
      )}
    </>
  );
}
const settle_ms = 50;
export function SaveBar({ form, onSave, children, label }: { form: Form; onSave: () => void; children?: ComponentChildren; label?: string }) {
  const latest = useRef({ form, onSave });
  latest.current = { form, onSave };
  useEffect(() => {
    const key = (e: KeyboardEvent): void => {
      if (!(e.ctrlKey || e.metaKey) || e.key !== 's') return;
      e.preventDefault();
      // What was typed just before is in the form after its next painting.
      setTimeout(() => {
        if (latest.current.form.dirty && !latest.current.form.busy) latest.current.onSave();
      }, settle_ms);
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
  return (
    <div class="savebar">
      <span role="status">{form.dirty ? t('form.unsaved') : t('form.all_saved')}</span>
      {children}
      <Button kind="primary" type="submit" busy={form.busy} disabled={!form.dirty}>{label ?? t('form.save')}</Button>
    </div>
  );
}
