// The page of an API key or an OAuth client: what it may, its secret replaced with an overlap, its end.
import type { ComponentChildren } from 'preact';
import { call } from '../lib/api';
import type { Values } from '../lib/form';
import { t, type Message } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { confirm } from './dialog';
import { Edit, SaveBar } from './editing';
import { EntityFields, FormFailure, type Widget } from './entity-form';
import { RefName } from './inputs';
import { Badge, Button, Card, Facts, Head, Note, Time } from './parts';
import { Rotate } from './rotate';
import { toast } from './toast';

const overlap_max_s = 2592000;
interface Row extends Values {
  id: number;
  name: string;
  status: string;
  user: { id: number } | null;
  created_at: string;
  updated_at: string;
}
interface Props<R extends Row> {
  of: 'api_keys' | 'oauth_clients';
  id: string;
  crumb: { to: string; text: string };
  names: string[];
  widgets: Record<string, Widget>;
  /** The member of the answer that has the new secret, its name, and where the one of before is ended. */
  secret: (row: R) => { field: string; label: string; previous: string } | null;
  facts: (row: R) => Array<[string, ComponentChildren]>;
  words: 'keys' | 'clients';
}
const w = (words: 'keys' | 'clients', what: 'revoke_title' | 'revoke_about' | 'revoked' | 'not_active', values?: Record<string, string>): string => t(`${words}.${what}` as Message, values);

export function Credential<R extends Row>({ of, id, crumb, names, widgets, secret, facts, words }: Props<R>) {
  const path = `${entity(of).path}/${id}`;
  return (
    <Edit<R> of={of} id={id}>
      {(e) => {
        const row = e.row;
        const alive = row.status === 'active' && may(entity(of).write);
        const s = alive ? secret(row) : null;
        const overlap = row['previous_expires_at'] as string | null;
        return (
          <>
            <Head title={row.name} crumbs={[crumb]}>
              {s && <Rotate path={`${path}/rotate`} etag={e.etag} field={s.field} label={s.label} max={overlap_max_s} onDone={() => void e.reload()} />}
              {s && overlap && <Button onClick={() => confirm({
                title: t('rotate.end_title'), text: t('rotate.end_about'), yes: t('rotate.end'), danger: true,
                run: async () => {
                  await call('DELETE', `${path}/${s.previous}`, { etag: e.etag });
                  await e.reload();
                },
              })}>{t('rotate.end')}</Button>}
              {alive && <Button kind="danger" onClick={() => confirm({
                title: w(words, 'revoke_title', { what: row.name }), text: w(words, 'revoke_about'), yes: t('action.revoke'), danger: true,
                run: async () => {
                  await call('DELETE', path, { etag: e.etag });
                  await e.reload();
                  toast(w(words, 'revoked'));
                },
              })}>{t('action.revoke')}</Button>}
            </Head>
            <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
              <div class="stack">
                <FormFailure form={e.form} shown={names} />
                {row.status !== 'active' && <Note kind="warn">{w(words, 'not_active')}</Note>}
                <div class="form">
                  <div class="card pad"><EntityFields form={e.form} names={names} widgets={widgets} /></div>
                  <Card title={t('content.facts')} actions={<Badge of={row.status} />} pad>
                    <Facts rows={[
                      [fieldLabel(of, 'user'), row.user ? <RefName of="users" id={row.user.id} /> : null],
                      ...facts(row),
                      ...(overlap ? [[t('field.previous_expires_at'), <Time at={overlap} />] as [string, ComponentChildren]] : []),
                      [t('field.created_at'), <Time at={row.created_at} />],
                      [t('field.updated_at'), <Time at={row.updated_at} />],
                      ...(row['revoked_at'] ? [[fieldLabel(of, 'revoked_at'), <Time at={String(row['revoked_at'])} />] as [string, ComponentChildren]] : []),
                    ]} />
                  </Card>
                </div>
              </div>
              {alive && <SaveBar form={e.form} onSave={() => void e.save()} />}
            </form>
          </>
        );
      }}
    </Edit>
  );
}
