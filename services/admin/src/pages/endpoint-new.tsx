// A new endpoint, with a look at what it will get before it is saved.
import type { WebhookEndpoint } from '~api';
import { t } from '../lib/i18n';
import { Create, writable } from '../ui/create';
import { EventsWidget } from '../ui/events';
import { Card, Secret } from '../ui/parts';
import { Preview, canPreview } from '../ui/preview';

export default function EndpointNew() {
  return (
    <Create<WebhookEndpoint & { secret: string }>
      of="webhook_endpoints" title={t('endpoints.new')} about={t('endpoints.new_about')} crumb={{ to: '/webhooks/endpoints', text: t('nav.endpoints') }}
      names={writable('webhook_endpoints', 'create', ['url', 'description', 'events'], ['status', 'user'])} widgets={{ events: EventsWidget }}
      {...(canPreview ? { beside: (form) => <Card title={t('preview.title')} pad><div class="stack"><p class="muted">{t('preview.about')}</p><div><Preview id={null} form={form} /></div></div></Card> } : {})}
      to={(e) => `/webhooks/endpoints/${e.id}`}
      made={(e) => <Secret label={t('endpoints.secret')} text={e.secret} />}
    />
  );
}
