// Makes the static files:  node build.mjs OUT GEN
// OUT gets the same tree three times (identity, gzip, br), so that the gateway serves what was compressed once, by a name
// that has the content's hash in it.  GEN has schema.json (schema.mjs).
import { build, transform } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const [, , out, gen] = process.argv;
const here = import.meta.dirname;
// A style sheet as text, for shadow roots: `import css from 'x.css?text'`.
const styles = {
  name: 'text',
  setup(b) {
    b.onResolve({ filter: /\.css\?text$/ }, async (a) => {
      const found = await b.resolve(a.path.replace(/\?text$/, ''), { kind: 'import-statement', resolveDir: a.resolveDir, importer: a.importer });
      return { ...found, namespace: 'css-text' };
    });
    b.onLoad({ filter: /.*/, namespace: 'css-text' }, async (a) => ({
      contents: (await transform(readFileSync(a.path, 'utf8'), { loader: 'css', minify: true, target: 'es2022' })).code, loader: 'text',
    }));
  },
};
// Swagger UI takes itself for the page: its <main> is a part of ours, which has one already.
const parts = {
  name: 'parts',
  setup(b) {
    b.onLoad({ filter: /swagger-ui-es-bundle\.js$/ }, (a) => {
      const text = readFileSync(a.path, 'utf8');
      const found = text.replace('"main",{id:"operations",', '"section",{id:"operations","aria-label":"Operations",');
      if (found === text) throw new Error(`${basename(a.path)} is another one: look for its <main>`);
      return { contents: found, loader: 'js' };
    });
  },
};
const common = { bundle: true, minify: true, write: false, outdir: '/admin', target: ['es2022'], legalComments: 'none',
  alias: { '~schema': join(gen, 'schema.json') }, nodePaths: [join(here, 'node_modules')], logLevel: 'warning', plugins: [styles, parts] };

const early = await build({ ...common, entryPoints: [join(here, 'src/early.ts')], format: 'iife', entryNames: 'assets/[name]-[hash]' });
const app = await build({
  ...common, entryPoints: [{ in: join(here, 'src/main.tsx'), out: 'app' }, { in: join(here, 'src/styles/app.css'), out: 'style' }],
  format: 'esm', splitting: true, metafile: true, entryNames: 'assets/[name]-[hash]', chunkNames: 'assets/[name]-[hash]',
  jsx: 'automatic', jsxImportSource: 'preact', loader: { '.svg': 'text' },
});

const files = new Map();
for (const f of [...early.outputFiles, ...app.outputFiles]) files.set(f.path.replace(/^.*?\/assets\//, 'assets/'), Buffer.from(f.contents));
const named = (pattern) => [...files.keys()].find((f) => pattern.test(f));
const main = named(/^assets\/app-/);
// What the entry imports at once is fetched beside it instead of after it.
const outputs = Object.entries(app.metafile.outputs).map(([path, o]) => [path.replace(/^.*?assets\//, 'assets/'), o]);
const statics = (file, seen = new Set()) => {
  for (const i of outputs.find(([p]) => p === file)?.[1].imports ?? []) {
    const path = i.path.replace(/^.*?assets\//, 'assets/');
    if (i.kind === 'import-statement' && !seen.has(path)) statics(path, seen.add(path));
  }
  return seen;
};
const icon = readFileSync(join(here, 'src/icon.svg'));
const iconName = `assets/icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8).toUpperCase()}.svg`;
files.set(iconName, icon);
const html = readFileSync(join(here, 'src/index.html'), 'utf8')
  .replace('@EARLY@', `/admin/${named(/^assets\/early-/)}`)
  .replace('@STYLE@', `/admin/${named(/^assets\/style-.*\.css$/)}`)
  .replace('@APP@', `/admin/${main}`)
  .replace('@ICON@', `/admin/${iconName}`)
  .replace('@PRELOAD@', [...statics(main)].map((f) => `<link rel="modulepreload" href="/admin/${f}">`).join('\n'));
files.set('index.html', Buffer.from(html));
files.set('licenses.txt', Buffer.from(licenses(Object.keys(app.metafile.inputs))));
files.set('chunks.json', Buffer.from(JSON.stringify({ first: ['index.html', named(/^assets\/early-/), named(/^assets\/style-.*\.css$/), main, ...statics(main)],
  pages: Object.fromEntries(outputs.filter(([, o]) => o.entryPoint?.includes('src/pages/')).map(([p, o]) => [basename(o.entryPoint).replace(/\.tsx?$/, ''), [p, ...statics(p)]])) })));

rmSync(out, { recursive: true, force: true });
const put = (coding, name, bytes) => {
  const path = join(out, coding, 'admin', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
};
for (const [name, bytes] of files) {
  put('identity', name, bytes);
  put('gzip', name, gzipSync(bytes, { level: 9 }));
  put('br', name, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
}

// The licences of what is inside, as they ask for.
function licenses(inputs) {
  const packages = new Set(inputs.map((i) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(i)?.[1]).filter(Boolean));
  return [...packages].sort().map((name) => {
    const dir = join(here, 'node_modules', name);
    const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
    const { version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
    return `${name} ${version} (${license})\n\n${file ? readFileSync(join(dir, file), 'utf8') : ''}\n`;
  }).join('\n----\n\n');
}
