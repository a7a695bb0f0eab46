// One endpoint: what it hears, how it is asked, pause, secret, removal.
import type { ComponentChildren } from 'preact';
import type { WebhookDelivery, WebhookEndpoint } from '~api';
import { call } from '../lib/api';
import { t } from '../lib/i18n';
import { useGet } from '../lib/query';
import { type Params, Link, go } from '../lib/router';
import { entity, has } from '../lib/schema';
import { may } from '../lib/session';
import { writable } from '../ui/create';
import { confirm } from '../ui/dialog';
import { Edit, SaveBar } from '../ui/editing';
import { EntityFields, FormFailure } from '../ui/entity-form';
import { EventsWidget } from '../ui/events';
import { RefName } from '../ui/inputs';
import { Badge, Bones, Button, Card, Facts, Head, Note, Time } from '../ui/parts';
import { Preview } from '../ui/preview';
import { CountedReplay } from '../ui/recover';
import { Rotate } from '../ui/rotate';
import { toast } from '../ui/toast';

const of = 'webhook_endpoints';
const overlap_max_s = 604800;
const last_rows_max = 6;
function Last({ id }: { id: string }) {
  const got = useGet<WebhookDelivery[]>('/api/v2/webhooks/deliveries', { 'filter[endpoint]': id, limit: last_rows_max, count: 'none' });
  return (
    <Card title={t('endpoints.last')} actions={<Link to={`/webhooks/deliveries?endpoint=${id}`}>{t('endpoints.log')}</Link>}>
      {!got.data ? <Bones lines={3} /> : got.data.length ? (
        <ul class="list">
          {got.data.map((d) => <li key={d.id}><Link class="grow" to={`/webhooks/deliveries/${d.id}`}>{d.event}</Link><Badge of={d.status} /><Time at={d.created_at} /></li>)}
        </ul>
      ) : <p class="quiet pad">{t('deliveries.none')}</p>}
    </Card>
  );
}
export default function EndpointEdit({ params }: { params: Params }) {
  const id = params['id'] ?? '';
  const path = `${entity(of).path}/${id}`;
  const names = writable(of, 'change', ['url', 'description', 'events'], ['status', 'user']);
  return (
    <Edit<WebhookEndpoint & Record<string, unknown>> of={of} id={id}>
      {(e) => {
        const ep = e.row;
        const own = may('webhooks:write');
        return (
          <>
            <Head title={ep.url} crumbs={[{ to: '/webhooks/endpoints', text: t('nav.endpoints') }]}>
              <Preview id={id} form={e.form} />
              {own && (ep.status === 'active'
                ? <Button onClick={() => void e.save({ status: 'paused' }, t('endpoints.paused'))}>{t('action.pause')}</Button>
                : <Button kind="primary" icon="play" onClick={() => void e.save({ status: 'active' }, t('endpoints.resumed'))}>{t('action.resume')}</Button>)}
              {own && has(`POST ${entity(of).path}/{id}/recover`) && <CountedReplay path={`${path}/recover`} body={(since, dry_run) => ({ since, dry_run })} label={t('endpoints.recover')} title={t('endpoints.recover')} about={t('endpoints.recover_about')} />}
              {own && has(`POST ${entity(of).path}/{id}/rotate-secret`) && <Rotate path={`${path}/rotate-secret`} etag={null} field="secret" label={t('endpoints.secret')} max={overlap_max_s} onDone={() => void e.reload()} />}
              {own && <Button kind="danger" icon="trash" onClick={() => confirm({
                title: t('endpoints.delete_title'), text: t('endpoints.delete_about'), yes: t('action.delete'), danger: true,
                run: async () => {
                  await call('DELETE', path, { etag: e.etag });
                  e.form.reset(e.form.base);
                  toast(t('endpoints.deleted'));
                  setTimeout(() => go('/webhooks/endpoints'));
                },
              })}>{t('action.delete')}</Button>}
            </Head>
            <form noValidate onSubmit={(ev) => { ev.preventDefault(); void e.save(); }}>
              <div class="stack">
                <FormFailure form={e.form} shown={names} />
                {ep.status !== 'active' && <Note kind="warn"><b>{t('endpoints.not_active')}</b> {String(ep['disabled_reason'] ?? '')}</Note>}
                <div class="form">
                  <div class="card pad"><EntityFields form={e.form} names={names} widgets={{ events: EventsWidget }} /></div>
                  <div class="stack">
                    <Card title={t('content.facts')} actions={<Badge of={ep.status} />} pad>
                      <Facts rows={[
                        [t('field.user'), ep.user ? <RefName of="users" id={ep.user.id} /> : null],
                        ...(ep['public_key'] ? [[t('field.public_key'), <code class="break">{String(ep['public_key'])}</code>] as [string, ComponentChildren]] : []),
                        ...(ep['failing_since'] ? [[t('field.failing_since'), <Time at={String(ep['failing_since'])} />] as [string, ComponentChildren]] : []),
                        [t('field.created_at'), <Time at={ep.created_at} />], [t('field.updated_at'), <Time at={ep.updated_at} />],
                      ]} />
                    </Card>
                    <Last id={id} />
                  </div>
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
