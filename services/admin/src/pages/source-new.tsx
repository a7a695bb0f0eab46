// A new source: where the provider posts to, and the secret.
import type { WebhookSource } from '~api';
import { t } from '../lib/i18n';
import { Create, writable } from '../ui/create';
import { Field } from '../ui/inputs';
import { CopyButton, Secret } from '../ui/parts';
import { sourceFields, sourceWidgets } from '../ui/source-widgets';

export default function SourceNew() {
  return (
    <Create<WebhookSource & { secret: string | null; url: string }>
      of="webhook_sources" title={t('sources.new')} about={t('sources.new_about')} crumb={{ to: '/webhooks/sources', text: t('nav.sources') }}
      names={writable('webhook_sources', 'create', sourceFields, ['mapping', 'status', 'user'])} widgets={sourceWidgets} preset={{ retention_days: 30 }}
      to={(s) => `/webhooks/sources/${s.id}/mapping`}
      made={(s) => (
        <>
          <Field label={t('sources.url')}>{(ids) => <div class="secret"><code id={ids.id}>{s.url}</code><CopyButton text={s.url} /></div>}</Field>
          {s.secret && <Secret label={t('field.secret')} text={s.secret} />}
        </>
      )}
    />
  );
}
