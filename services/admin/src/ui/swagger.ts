// Swagger UI, in a shadow root: there it uses a constructed style sheet, which the content security policy allows, and neither its
// styles nor the admin's reach the other.  Its parts are React's, made by React's own functions as the bundle brings them.
import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import theirs from 'swagger-ui-dist/swagger-ui.css?text';
import { type Language, type Sent, languages, sample } from '../lib/samples';
import ours from '../styles/swagger.css?text';

export interface Words {
  samples: string; // before the programs of an operation
}
export interface Outgoing {
  url: string;
  method?: string;
  headers: Record<string, string>;
  loadSpec?: boolean;
}
/** What is sent, as Swagger UI keeps it. */
interface Kept {
  toJS(): { url: string; method: string; headers?: Record<string, string>; body?: unknown };
}
const sent = (kept: Kept): Sent => {
  const { url, method, headers, body } = kept.toJS();
  const text = body === undefined || body === null ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return { url, method: method.toUpperCase(), headers: headers ?? {}, body: text };
};

interface Operation {
  getIn(path: string[]): unknown;
}
const old = ['operation', 'deprecated']; // these come last
interface System {
  React: { createElement: (type: unknown, props: object | null, ...children: unknown[]) => unknown; Fragment: unknown; useState: <T>(first: T) => [T, (v: T) => void] };
}
interface OperationProps {
  path: string;
  method: string;
  specSelectors: { specJson(): { getIn(path: string[]): undefined | { toJS(): Array<{ label: string; source: string }> } } };
}
/** The document's own samples, above the answers; what was sent is below them as the same program with its own values. */
const plugin = (words: Words) => () => ({
  fn: Object.fromEntries(languages.map((l) => [`requestSnippetGenerator_${l.id}`, (kept: Kept) => sample[l.id](sent(kept))])),
  wrapComponents: {
    authorizeBtn: () => () => null, // who calls is chosen above
    authorizeOperationBtn: () => () => null,
    responses: (Original: unknown, { React: { createElement: el, Fragment, useState } }: System) => {
      const Samples = ({ path, method, specSelectors }: OperationProps) => {
        const [at, choose] = useState<Language>('curl');
        const list = specSelectors.specJson().getIn(['paths', path, method, 'x-codeSamples'])?.toJS() ?? [];
        const one = list.find((s) => s.label === at);
        if (!one) return null;
        return el('div', { className: 'own-samples' }, el('h4', null, words.samples),
          el('div', { role: 'group', 'aria-label': words.samples }, ...languages.map((l) =>
            el('button', { key: l.id, type: 'button', className: 'btn', 'aria-pressed': l.id === at, onClick: () => choose(l.id) }, l.name))),
          el('pre', { tabIndex: 0, role: 'region', 'aria-label': words.samples }, one.source));
      };
      return (props: OperationProps) => el(Fragment, null, el(Samples, props), el(Original, props));
    },
  },
});

/** Shows the document below `host`; `outgoing` may change what is sent. */
export function mount(host: HTMLElement, spec: object, words: Words, outgoing: (r: Outgoing) => Outgoing): void {
  const root = host.attachShadow({ mode: 'open' });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(theirs + ours);
  root.adoptedStyleSheets = [sheet];
  const { jsonSchemaDialect: _, ...known } = spec as Record<string, unknown>; // it warns of any dialect that is named
  const node = document.createElement('div');
  root.append(node);
  SwaggerUI({
    domNode: node, spec: { ...known, servers: [{ url: location.origin }] }, plugins: [plugin(words)], requestInterceptor: outgoing,
    docExpansion: 'none', defaultModelsExpandDepth: -1, filter: true, tryItOutEnabled: true, validatorUrl: null, deepLinking: false,
    operationsSorter: (a: Operation, b: Operation) => Number(a.getIn(old) ?? false) - Number(b.getIn(old) ?? false), queryConfigEnabled: false, displayRequestDuration: true, requestSnippetsEnabled: true,
    requestSnippets: {
      generators: Object.fromEntries(languages.map((l) => [l.id, { title: l.name, syntax: l.syntax }])),
      languages: languages.map((l) => l.id), defaultExpanded: true,
    },
  });
}
