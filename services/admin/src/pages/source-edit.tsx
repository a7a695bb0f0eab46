// One source: its settings, its secret, its queue.
import type { ComponentChildren } from 'preact';
import type { WebhookSource } from '~api';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { fieldLabel } from '../lib/labels';
import { providerLabel, providerOf } from '../lib/providers';
import { type Params, Link, go } from '../lib/router';
import { entity } from '../lib/schema';
import { may } from '../lib/session';
import { writable } from '../ui/create';
import { confirm } from '../ui/dialog';
import { Edit, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { RefName } from '../ui/inputs';
import { Badge, Button, Card, CopyButton, Facts, Head, Note, Tabs, Time } from '../ui/parts';
import { CountedReplay } from '../ui/recover';
import { Rotate } from '../ui/rotate';
import { sourceFields, sourceWidgets } from '../ui/source-widgets';
import { toast } from '../ui/toast';

const of = 'webhook_sources';
const overlap_max_s = 604800;
export const sourceTabs = (id: string, here: 'settings' | 'mapping' | 'messages') => (
  <Tabs items={[
    { to: `/webhooks/sources/${id}`, text: t('sources.settings'), here: here === 'settings' },
    { to: `/webhooks/sources/${id}/mapping`, text: t('sources.mapping'), here: here === 'mapping' },
    { to: `/webhooks/messages?source=${id}`, text: t('nav.messages'), here: here === 'messages' },
  ]} />
);
export default function SourceEdit({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  const path = `${entity(of).path}/${id}`;
  const names = writable(of, 'change', sourceFields, ['mapping', 'status', 'user']);
  return (
    <Edit<WebhookSource & Record<string, unknown>> of={of} id={id}>
      {(e) => {
        const s = e.row;
        const own = may('webhooks:write');
        const url = location.origin + s.path;
        return (
          <>
            <Head title={s.name} crumbs={[{ to: '/webhooks/sources', text: t('nav.sources') }]}>
              {own && (s.status === 'active'
                ? <Button onClick={() => void e.save({ status: 'paused' }, t('sources.paused'))}>{t('action.pause')}</Button>
                : <Button kind="primary" icon="play" onClick={() => void e.save({ status: 'active' }, t('sources.resumed'))}>{t('action.resume')}</Button>)}
              {own && <CountedReplay path={`${path}/replay`} body={(since, dry_run) => ({ status: 'dead', since, dry_run })} label={t('sources.replay')} title={t('sources.replay')} about={t('sources.replay_about')} />}
              {own && providerOf(s.provider)?.secret === 'ours' && <Rotate path={`${path}/rotate-secret`} etag={null} field="secret" label={t('field.secret')} max={overlap_max_s} onDone={() => void e.reload()} />}
              {own && <Button kind="danger" icon="trash" onClick={() => confirm({
                title: t('sources.delete_title', { what: s.name }), text: t('sources.delete_about'), yes: t('action.delete'), danger: true,
                run: async () => {
                  await call('DELETE', path, { etag: e.etag });
                  e.form.reset(e.form.base);
                  toast(t('sources.deleted'));
                  setTimeout(() => go('/webhooks/sources'));
                },
              })}>{t('action.delete')}</Button>}
            </Head>
            {sourceTabs(id, 'settings')}
            <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
              <div class="stack">
                <FormFailure form={e.form} shown={names} />
                {s.status !== 'active' && <Note kind="warn">{t('sources.paused_about')}</Note>}
                <div class="form">
                  <div class="card pad"><EntityFields form={e.form} names={names} widgets={sourceWidgets} /></div>
                  <Card title={t('content.facts')} actions={<Badge of={s.status} />} pad>
                    <div class="stack">
                      <div class="secret"><code>{url}</code></div>
                      <CopyButton text={url} label={t('sources.copy_url')} />
                      <Facts rows={[
                        [fieldLabel(of, 'provider'), providerLabel(s.provider)],
                        [t('field.user'), s.user ? <RefName of="users" id={s.user.id} /> : null],
                        [fieldLabel(of, 'mapping'), <Link to={`/webhooks/sources/${id}/mapping`}>{s.mapping_version ? t('sources.mapping_version', { n: s.mapping_version }) : t('sources.no_mapping')}</Link>],
                        ...(s.previous_until ? [[fieldLabel(of, 'previous_until'), <Time at={s.previous_until} />] as [string, ComponentChildren]] : []),
                        [t('field.created_at'), <Time at={s.created_at} />], [t('field.updated_at'), <Time at={s.updated_at} />],
                      ]} />
                    </div>
                  </Card>
                </div>
              </div>
              {own && <SaveBar form={e.form} onSave={() => void e.save()} />}
            </form>
          </>
        );
      }}
    </Edit>
  );
}
