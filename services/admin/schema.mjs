// What the forms and lists are made of: the entities' fields as the printed documents say them, in as few bytes as will do.
//   node schema.mjs OPENAPI ENTITIES TYPES >schema.json
import { readFileSync } from 'node:fs';

const [, , openapiFile, entitiesFile] = process.argv;
const openapi = JSON.parse(readFileSync(openapiFile, 'utf8'));
const schemas = openapi.components.schemas;

// docs/reference/entities.md is printed of the same tables; it alone says what may be filtered and sorted by.
function flagsOf(markdown) {
  const all = {};
  let entity;
  for (const line of markdown.split('\n')) {
    const heading = /^## (\w+)/.exec(line);
    const place = /`(\/api\/[^`]+)`.*scopes `([\w:]+)` and `([\w:]+)`(?:, sorted by `(-?\w+)`)?/.exec(line);
    const field = /^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|/.exec(line);
    if (heading) entity = all[heading[1]] = { fields: {} };
    else if (place && entity) Object.assign(entity, { path: place[1], read: place[2], write: place[3], sort: place[4] ?? null });
    else if (field && entity) entity.fields[field[1]] = { type: field[2], flags: field[3].split(',').map((s) => s.trim()) };
  }
  return all;
}

const singular = { users: 'User', posts: 'Post', pages: 'Page', media: 'Media', experts: 'Expert', companies: 'Company', events: 'Event' };
const schemaName = (entity) =>
  singular[entity] ?? entity.replace(/(^|_)(\w)/g, (_, __, c) => c.toUpperCase()).replace(/ies$/, 'y').replace(/s$/, '');

function kindOf(name, schema, printed) {
  const text = printed?.type ?? '';
  const to = /^references? → (\w+)/.exec(text)?.[1];
  if (to) return { kind: [].concat(schema?.type ?? []).includes('array') ? 'refs' : 'ref', to };
  const types = [].concat(schema?.type ?? []);
  if (schema?.enum) return { kind: 'enum', choices: schema.enum.filter((c) => c !== null) };
  if (schema?.format === 'date-time') return { kind: 'time' };
  if (types.includes('array')) return { kind: schema.items?.type === 'string' || !schema.items ? 'texts' : 'json' };
  if (types.includes('object')) return { kind: 'json' };
  if (types.includes('boolean')) return { kind: 'bool' };
  if (types.includes('integer') || types.includes('number')) return { kind: 'int' };
  return { kind: 'text' };
}

const out = {};
for (const [entity, printed] of Object.entries(flagsOf(readFileSync(entitiesFile, 'utf8')))) {
  const name = schemaName(entity);
  const read = schemas[name];
  const input = schemas[`${name}Input`];
  const patch = schemas[`${name}Patch`];
  if (!read) continue;
  const names = [...new Set([...Object.keys(read.properties), ...Object.keys(input?.properties ?? {})])];
  const fields = names.map((field) => {
    const shown = read.properties[field];
    const written = input?.properties[field];
    const flags = printed.fields[field]?.flags ?? [];
    const form = written ?? shown;
    const types = [].concat(form.type ?? []);
    return {
      name: field,
      ...kindOf(field, form, printed.fields[field]),
      ...((written && (form.maxLength ?? form.items?.maxLength)) ? { max: form.maxLength ?? form.items.maxLength } : {}),
      ...(form.maxItems && written ? { items: form.maxItems } : {}),
      ...(written && form.pattern && form.pattern !== '^[^\\r\\n]*$' ? { pattern: form.pattern } : {}),
      ...(form.format && form.format !== 'date-time' ? { format: form.format } : {}),
      ...(form.default !== undefined && form.default !== null && !(Array.isArray(form.default) && !form.default.length) ? { default: form.default } : {}),
      ...(input?.required?.includes(field) ? { required: true } : {}),
      ...(written ? { create: true } : {}),
      ...(patch?.properties[field] ? { change: true } : {}),
      ...(types.includes('null') || form.anyOf?.some((s) => s.type === 'null') ? { nullable: true } : {}),
      ...(shown ? {} : { secret: true }),
      ...(flags.includes('filter') ? { filter: true } : {}),
      ...(flags.includes('sort') ? { sort: true } : {}),
      doc: form.description ?? '',
    };
  });
  out[entity] = { path: printed.path, read: printed.read, write: printed.write, sort: printed.sort, fields };
}
const scopes = schemas.ApiKeyInput && [...readFileSync(process.argv[4], 'utf8').matchAll(/^  \| "([a-z]+:[a-z]+)"$/gm)].map((m) => m[1]);
const events = [...readFileSync(process.argv[4], 'utf8').matchAll(/Delivery<"([^"]+)"/g)].map((m) => m[1]);
// What the platform can do, so that a page offers only that.
const routes = Object.entries(openapi.paths).flatMap(([path, ops]) => Object.keys(ops).filter((m) => /^(get|put|post|patch|delete)$/.test(m)).map((m) => `${m.toUpperCase()} ${path}`));
process.stdout.write(JSON.stringify({ entities: out, scopes, events, routes }));
