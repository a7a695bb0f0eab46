// The entities as the API's documents print them (schema.mjs makes the file).  Forms, lists and filters are read off this, so a
// field that is added to an entity is there without a line here; only its name in both languages (i18n) is asked for.
import raw from '~schema';

export type Kind = 'text' | 'enum' | 'int' | 'bool' | 'time' | 'json' | 'texts' | 'ref' | 'refs';
export interface FieldDef {
  name: string;
  kind: Kind;
  doc: string;
  to?: string; // ref, refs: which entity
  choices?: string[]; // enum
  max?: number; // characters
  items?: number; // texts, refs
  pattern?: string;
  format?: string;
  default?: unknown;
  required?: boolean;
  create?: boolean; // may be written when it is made
  change?: boolean; // may be written later
  nullable?: boolean;
  secret?: boolean; // written, never read
  filter?: boolean;
  sort?: boolean;
}
export interface EntityDef {
  path: string;
  read: string; // scope
  write: string;
  sort: string | null;
  fields: FieldDef[];
}
const schema = raw as unknown as { entities: Record<string, EntityDef>; scopes: string[]; events: string[]; routes: string[] };

export const entities = schema.entities;
export const scopes = schema.scopes;
export const eventTypes = schema.events;
const routes = new Set(schema.routes);
/** Does the platform have it?  "POST /api/v2/auth/keys/{id}/rotate" */
export const has = (route: string): boolean => routes.has(route);
export function entity(name: string): EntityDef {
  const def = entities[name];
  if (!def) throw new Error(`no entity ${name}`);
  return def;
}
export const field = (name: string, of: string): FieldDef | undefined => entity(of).fields.find((f) => f.name === name);

/** The seven entities of the content, as they stand in the menu; users have pages of their own too. */
export const contentNames = ['posts', 'pages', 'events', 'media', 'experts', 'companies', 'users'] as const;
export type ContentName = (typeof contentNames)[number];
export const isContent = (name: string): name is ContentName => (contentNames as readonly string[]).includes(name);

interface Look {
  title: string; // the field that names a row
  columns: string[]; // shown if the reader has not chosen others
  search: string[]; // what the search field looks in
  filters: string[]; // offered above the list
  live?: boolean; // has drafts, publishing, revisions
  long?: string[]; // texts that are written in a large field
  side: string[]; // fields beside the main column
}
/** How each is shown; what is stored is said by the schema. */
export const looks: Record<ContentName, Look> = {
  posts: {
    title: 'title', columns: ['title', 'status', 'author', 'language', 'published_at', 'updated_at'], search: ['title', 'slug'],
    filters: ['status', 'language', 'author'], live: true, long: ['content'],
    side: ['status', 'published_at', 'author', 'language', 'featured_media', 'categories', 'tags', 'content_format'],
  },
  pages: {
    title: 'title', columns: ['title', 'status', 'parent', 'menu_order', 'language', 'updated_at'], search: ['title', 'slug'],
    filters: ['status', 'language', 'parent'], live: true, long: ['content'],
    side: ['status', 'published_at', 'author', 'language', 'parent', 'menu_order', 'template', 'content_format'],
  },
  events: {
    title: 'title', columns: ['title', 'status', 'starts_at', 'venue_name', 'organizer', 'updated_at'], search: ['title', 'slug', 'venue_name'],
    filters: ['status', 'organizer', 'currency'], live: true, long: ['description'],
    side: ['status', 'published_at', 'author', 'organizer', 'image', 'capacity', 'price_minor', 'currency'],
  },
  media: {
    title: 'filename', columns: ['filename', 'title', 'mime_type', 'size_bytes', 'uploaded_by', 'created_at'], search: ['filename', 'title'],
    filters: ['mime_type', 'uploaded_by'], side: ['mime_type', 'size_bytes', 'width', 'height', 'uploaded_by'],
  },
  experts: {
    title: 'name', columns: ['name', 'title', 'company', 'city', 'status', 'updated_at'], search: ['name', 'slug', 'city'],
    filters: ['status', 'company', 'country'], long: ['bio'],
    side: ['status', 'photo', 'company', 'user', 'specialties', 'languages', 'hourly_rate_minor', 'currency'],
  },
  companies: {
    title: 'name', columns: ['name', 'industry', 'city', 'country', 'status', 'updated_at'], search: ['name', 'slug', 'city'],
    filters: ['status', 'country', 'industry'], long: ['description'], side: ['status', 'logo', 'industry', 'employee_count', 'founded_year'],
  },
  users: {
    title: 'username', columns: ['username', 'display_name', 'email', 'role', 'status', 'created_at'], search: ['username', 'display_name'],
    filters: ['role', 'status'], long: ['bio'], side: ['role', 'status', 'locale', 'avatar'],
  },
};
/** What names a row of any entity to a person. */
export function titleOf(of: string, row: Record<string, unknown> | null | undefined): string {
  if (!row) return '';
  const named = [isContent(of) ? looks[of].title : 'name', 'display_name', 'username', 'name', 'title', 'url'].map((f) => row[f]).find((v) => typeof v === 'string' && v);
  return typeof named === 'string' ? named : `#${String(row['id'] ?? '')}`;
}
