// Printed from the tables by `make contract`; edit those.

/** A reference as read: the id alone, or the whole row when include= asked for it. */
export type Ref<T> = { id: number } & Partial<T>;
/** A reference as written. */
export type RefInput = number | { id: number };

export interface One<T> {
  data: T;
}
export interface Page<T> {
  data: T[];
  meta: { total?: number; page?: number; per_page?: number; limit?: number; offset?: number };
  links: { self: string; next: string | null; prev: string | null };
}
/** RFC 9457 */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance?: string;
  request_id?: string;
  errors?: Array<{ pointer: string; code: string; detail: string }>;
}
export interface Delivery<T extends string, D> {
  id: string;
  type: T;
  timestamp: string;
  data: D;
  changed: string[];
}

/** A person with an account. */
export interface User {
  /** Number of the user. */
  id: number;
  /** Name to sign in with. */
  username: string;
  /** E-mail address; shown to the user and to api:admin only. */
  email?: string;
  /** Name shown to readers. */
  display_name: string | null;
  /** What the user may do; changed with api:admin only. */
  role: "admin" | "editor" | "author" | "member";
  /** A suspended user's credentials are refused; changed with api:admin only. */
  status: "active" | "suspended";
  /** Language the user reads, BCP 47. */
  locale: string | null;
  /** About the user. */
  bio: string | null;
  /** The user's own site. */
  website: string | null;
  /** Picture of the user. */
  avatar: Ref<Media> | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
  /** Posts that the user wrote. */
  posts?: Post[];
}

export interface UserInput {
  /** Name to sign in with. */
  username: string;
  /** E-mail address; shown to the user and to api:admin only. */
  email: string;
  /** Name shown to readers. */
  display_name?: string | null;
  /** What the user may do; changed with api:admin only. */
  role: "admin" | "editor" | "author" | "member";
  /** A suspended user's credentials are refused; changed with api:admin only. */
  status?: "active" | "suspended" | null;
  /** Language the user reads, BCP 47. */
  locale?: string | null;
  /** About the user. */
  bio?: string | null;
  /** The user's own site. */
  website?: string | null;
  /** Picture of the user. */
  avatar?: RefInput | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface UserPatch {
  /** Name to sign in with. */
  username?: string;
  /** E-mail address; shown to the user and to api:admin only. */
  email?: string;
  /** Name shown to readers. */
  display_name?: string | null;
  /** What the user may do; changed with api:admin only. */
  role?: "admin" | "editor" | "author" | "member";
  /** A suspended user's credentials are refused; changed with api:admin only. */
  status?: "active" | "suspended" | null;
  /** Language the user reads, BCP 47. */
  locale?: string | null;
  /** About the user. */
  bio?: string | null;
  /** The user's own site. */
  website?: string | null;
  /** Picture of the user. */
  avatar?: RefInput | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** An article. */
export interface Post {
  /** Number of the post. */
  id: number;
  /** Headline. */
  title: string;
  /** Name of the post in addresses; made from the title if absent. */
  slug: string;
  /** Where the post is in its life; readers see published ones only. */
  status: "draft" | "scheduled" | "published" | "archived";
  /** Short text for lists. */
  excerpt: string | null;
  /** Body of the post. */
  content: string | null;
  /** How the content is written. */
  content_format: "html" | "markdown";
  /** Language of the post, BCP 47. */
  language: string | null;
  /** Who wrote it; the caller if absent. */
  author: Ref<User> | null;
  /** Picture shown with the post. */
  featured_media: Ref<Media> | null;
  /** Categories the post is in. */
  categories: string[];
  /** Free keywords. */
  tags: string[];
  /** When the post appears; set at publishing if absent, hidden while it lies ahead. */
  published_at: string | null;
  /** Title for search engines. */
  seo_title: string | null;
  /** Description for search engines. */
  seo_description: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface PostInput {
  /** Headline. */
  title: string;
  /** Name of the post in addresses; made from the title if absent. */
  slug?: string | null;
  /** Where the post is in its life; readers see published ones only. */
  status: "draft" | "scheduled" | "published" | "archived";
  /** Short text for lists. */
  excerpt?: string | null;
  /** Body of the post. */
  content?: string | null;
  /** How the content is written. */
  content_format?: "html" | "markdown" | null;
  /** Language of the post, BCP 47. */
  language?: string | null;
  /** Who wrote it; the caller if absent. */
  author?: RefInput | null;
  /** Picture shown with the post. */
  featured_media?: RefInput | null;
  /** Categories the post is in. */
  categories?: string[] | null;
  /** Free keywords. */
  tags?: string[] | null;
  /** When the post appears; set at publishing if absent, hidden while it lies ahead. */
  published_at?: string | null;
  /** Title for search engines. */
  seo_title?: string | null;
  /** Description for search engines. */
  seo_description?: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface PostPatch {
  /** Headline. */
  title?: string;
  /** Name of the post in addresses; made from the title if absent. */
  slug?: string | null;
  /** Where the post is in its life; readers see published ones only. */
  status?: "draft" | "scheduled" | "published" | "archived";
  /** Short text for lists. */
  excerpt?: string | null;
  /** Body of the post. */
  content?: string | null;
  /** How the content is written. */
  content_format?: "html" | "markdown" | null;
  /** Language of the post, BCP 47. */
  language?: string | null;
  /** Who wrote it; the caller if absent. */
  author?: RefInput | null;
  /** Picture shown with the post. */
  featured_media?: RefInput | null;
  /** Categories the post is in. */
  categories?: string[] | null;
  /** Free keywords. */
  tags?: string[] | null;
  /** When the post appears; set at publishing if absent, hidden while it lies ahead. */
  published_at?: string | null;
  /** Title for search engines. */
  seo_title?: string | null;
  /** Description for search engines. */
  seo_description?: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** A page of the site's tree. */
export interface Page {
  /** Number of the page. */
  id: number;
  /** Headline. */
  title: string;
  /** Name of the page in addresses; made from the title if absent. */
  slug: string;
  /** Where the page is in its life; readers see published ones only. */
  status: "draft" | "scheduled" | "published" | "archived";
  /** Body of the page. */
  content: string | null;
  /** How the content is written. */
  content_format: "html" | "markdown";
  /** Language of the page, BCP 47. */
  language: string | null;
  /** Who wrote it; the caller if absent. */
  author: Ref<User> | null;
  /** The page above this one. */
  parent: Ref<Page> | null;
  /** Place among its neighbours, small first. */
  menu_order: number;
  /** Name of the template that shows it. */
  template: string | null;
  /** When the page appears; set at publishing if absent, hidden while it lies ahead. */
  published_at: string | null;
  /** Title for search engines. */
  seo_title: string | null;
  /** Description for search engines. */
  seo_description: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
  /** Pages right below this one. */
  children?: Page[];
}

export interface PageInput {
  /** Headline. */
  title: string;
  /** Name of the page in addresses; made from the title if absent. */
  slug?: string | null;
  /** Where the page is in its life; readers see published ones only. */
  status: "draft" | "scheduled" | "published" | "archived";
  /** Body of the page. */
  content?: string | null;
  /** How the content is written. */
  content_format?: "html" | "markdown" | null;
  /** Language of the page, BCP 47. */
  language?: string | null;
  /** Who wrote it; the caller if absent. */
  author?: RefInput | null;
  /** The page above this one. */
  parent?: RefInput | null;
  /** Place among its neighbours, small first. */
  menu_order?: number | null;
  /** Name of the template that shows it. */
  template?: string | null;
  /** When the page appears; set at publishing if absent, hidden while it lies ahead. */
  published_at?: string | null;
  /** Title for search engines. */
  seo_title?: string | null;
  /** Description for search engines. */
  seo_description?: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface PagePatch {
  /** Headline. */
  title?: string;
  /** Name of the page in addresses; made from the title if absent. */
  slug?: string | null;
  /** Where the page is in its life; readers see published ones only. */
  status?: "draft" | "scheduled" | "published" | "archived";
  /** Body of the page. */
  content?: string | null;
  /** How the content is written. */
  content_format?: "html" | "markdown" | null;
  /** Language of the page, BCP 47. */
  language?: string | null;
  /** Who wrote it; the caller if absent. */
  author?: RefInput | null;
  /** The page above this one. */
  parent?: RefInput | null;
  /** Place among its neighbours, small first. */
  menu_order?: number | null;
  /** Name of the template that shows it. */
  template?: string | null;
  /** When the page appears; set at publishing if absent, hidden while it lies ahead. */
  published_at?: string | null;
  /** Title for search engines. */
  seo_title?: string | null;
  /** Description for search engines. */
  seo_description?: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** A picture or another file. */
export interface Media {
  /** Number of the medium. */
  id: number;
  /** Name of the file. */
  filename: string;
  /** Media type of the file. */
  mime_type: string;
  /** Length of the file in bytes. */
  size_bytes: number | null;
  /** SHA-256 of the file, lower-case hexadecimal. */
  sha256: string | null;
  /** Width in pixels. */
  width: number | null;
  /** Height in pixels. */
  height: number | null;
  /** Title of the work. */
  title: string | null;
  /** What the picture shows, for people who do not see it. */
  alt_text: string | null;
  /** Text shown below. */
  caption: string | null;
  /** Where the file is fetched; rewritten when read. */
  url: string | null;
  /** Name of the file in the storage; written with api:admin only. */
  storage_key?: string | null;
  /** Whose file it is; the caller if absent. */
  uploaded_by: Ref<User> | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface MediaInput {
  /** Name of the file. */
  filename: string;
  /** Media type of the file. */
  mime_type: string;
  /** Length of the file in bytes. */
  size_bytes?: number | null;
  /** SHA-256 of the file, lower-case hexadecimal. */
  sha256?: string | null;
  /** Width in pixels. */
  width?: number | null;
  /** Height in pixels. */
  height?: number | null;
  /** Title of the work. */
  title?: string | null;
  /** What the picture shows, for people who do not see it. */
  alt_text?: string | null;
  /** Text shown below. */
  caption?: string | null;
  /** Name of the file in the storage; written with api:admin only. */
  storage_key?: string | null;
  /** Whose file it is; the caller if absent. */
  uploaded_by?: RefInput | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface MediaPatch {
  /** Name of the file. */
  filename?: string;
  /** Media type of the file. */
  mime_type?: string;
  /** Length of the file in bytes. */
  size_bytes?: number | null;
  /** SHA-256 of the file, lower-case hexadecimal. */
  sha256?: string | null;
  /** Width in pixels. */
  width?: number | null;
  /** Height in pixels. */
  height?: number | null;
  /** Title of the work. */
  title?: string | null;
  /** What the picture shows, for people who do not see it. */
  alt_text?: string | null;
  /** Text shown below. */
  caption?: string | null;
  /** Name of the file in the storage; written with api:admin only. */
  storage_key?: string | null;
  /** Whose file it is; the caller if absent. */
  uploaded_by?: RefInput | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** A person of the expert directory. */
export interface Expert {
  /** Number of the expert. */
  id: number;
  /** Full name. */
  name: string;
  /** Name of the expert in addresses; made from the name if absent. */
  slug: string;
  /** Profession or position. */
  title: string | null;
  /** Address to reach the expert. */
  email: string | null;
  /** Telephone number, E.164 with spaces. */
  phone: string | null;
  /** About the expert. */
  bio: string | null;
  /** What the expert knows best. */
  specialties: string[];
  /** Languages the expert works in. */
  languages: string[];
  /** Where the expert works. */
  company: Ref<Company> | null;
  /** The expert's account. */
  user: Ref<User> | null;
  /** Picture of the expert. */
  photo: Ref<Media> | null;
  /** Town. */
  city: string | null;
  /** Country, ISO 3166-1 alpha-2. */
  country: string | null;
  /** The expert's own site. */
  website: string | null;
  /** Profile at LinkedIn. */
  linkedin_url: string | null;
  /** Price of an hour in the currency's minor unit. */
  hourly_rate_minor: number | null;
  /** Currency of the amount, ISO 4217. */
  currency: string | null;
  /** Readers see the expert only while it is active. */
  status: "active" | "inactive";
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
  /** Events where the expert speaks. */
  events?: Event[];
}

export interface ExpertInput {
  /** Full name. */
  name: string;
  /** Name of the expert in addresses; made from the name if absent. */
  slug?: string | null;
  /** Profession or position. */
  title?: string | null;
  /** Address to reach the expert. */
  email?: string | null;
  /** Telephone number, E.164 with spaces. */
  phone?: string | null;
  /** About the expert. */
  bio?: string | null;
  /** What the expert knows best. */
  specialties?: string[] | null;
  /** Languages the expert works in. */
  languages?: string[] | null;
  /** Where the expert works. */
  company?: RefInput | null;
  /** The expert's account. */
  user?: RefInput | null;
  /** Picture of the expert. */
  photo?: RefInput | null;
  /** Town. */
  city?: string | null;
  /** Country, ISO 3166-1 alpha-2. */
  country?: string | null;
  /** The expert's own site. */
  website?: string | null;
  /** Profile at LinkedIn. */
  linkedin_url?: string | null;
  /** Price of an hour in the currency's minor unit. */
  hourly_rate_minor?: number | null;
  /** Currency of the amount, ISO 4217. */
  currency?: string | null;
  /** Readers see the expert only while it is active. */
  status?: "active" | "inactive" | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface ExpertPatch {
  /** Full name. */
  name?: string;
  /** Name of the expert in addresses; made from the name if absent. */
  slug?: string | null;
  /** Profession or position. */
  title?: string | null;
  /** Address to reach the expert. */
  email?: string | null;
  /** Telephone number, E.164 with spaces. */
  phone?: string | null;
  /** About the expert. */
  bio?: string | null;
  /** What the expert knows best. */
  specialties?: string[] | null;
  /** Languages the expert works in. */
  languages?: string[] | null;
  /** Where the expert works. */
  company?: RefInput | null;
  /** The expert's account. */
  user?: RefInput | null;
  /** Picture of the expert. */
  photo?: RefInput | null;
  /** Town. */
  city?: string | null;
  /** Country, ISO 3166-1 alpha-2. */
  country?: string | null;
  /** The expert's own site. */
  website?: string | null;
  /** Profile at LinkedIn. */
  linkedin_url?: string | null;
  /** Price of an hour in the currency's minor unit. */
  hourly_rate_minor?: number | null;
  /** Currency of the amount, ISO 4217. */
  currency?: string | null;
  /** Readers see the expert only while it is active. */
  status?: "active" | "inactive" | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** A company. */
export interface Company {
  /** Number of the company. */
  id: number;
  /** Name of the company. */
  name: string;
  /** Name of the company in addresses; made from the name if absent. */
  slug: string;
  /** About the company. */
  description: string | null;
  /** Line of business. */
  industry: string | null;
  /** Address to reach the company. */
  email: string | null;
  /** Telephone number, E.164 with spaces. */
  phone: string | null;
  /** The company's site. */
  website: string | null;
  /** Street and number. */
  street: string | null;
  /** Postal code. */
  postal_code: string | null;
  /** Town. */
  city: string | null;
  /** Country, ISO 3166-1 alpha-2. */
  country: string | null;
  /** Number of employees. */
  employee_count: number | null;
  /** Year of foundation. */
  founded_year: number | null;
  /** Picture of the company. */
  logo: Ref<Media> | null;
  /** Readers see the company only while it is active. */
  status: "active" | "inactive";
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
  /** Experts who work here. */
  experts?: Expert[];
  /** Events that the company organizes. */
  events?: Event[];
}

export interface CompanyInput {
  /** Name of the company. */
  name: string;
  /** Name of the company in addresses; made from the name if absent. */
  slug?: string | null;
  /** About the company. */
  description?: string | null;
  /** Line of business. */
  industry?: string | null;
  /** Address to reach the company. */
  email?: string | null;
  /** Telephone number, E.164 with spaces. */
  phone?: string | null;
  /** The company's site. */
  website?: string | null;
  /** Street and number. */
  street?: string | null;
  /** Postal code. */
  postal_code?: string | null;
  /** Town. */
  city?: string | null;
  /** Country, ISO 3166-1 alpha-2. */
  country?: string | null;
  /** Number of employees. */
  employee_count?: number | null;
  /** Year of foundation. */
  founded_year?: number | null;
  /** Picture of the company. */
  logo?: RefInput | null;
  /** Readers see the company only while it is active. */
  status?: "active" | "inactive" | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface CompanyPatch {
  /** Name of the company. */
  name?: string;
  /** Name of the company in addresses; made from the name if absent. */
  slug?: string | null;
  /** About the company. */
  description?: string | null;
  /** Line of business. */
  industry?: string | null;
  /** Address to reach the company. */
  email?: string | null;
  /** Telephone number, E.164 with spaces. */
  phone?: string | null;
  /** The company's site. */
  website?: string | null;
  /** Street and number. */
  street?: string | null;
  /** Postal code. */
  postal_code?: string | null;
  /** Town. */
  city?: string | null;
  /** Country, ISO 3166-1 alpha-2. */
  country?: string | null;
  /** Number of employees. */
  employee_count?: number | null;
  /** Year of foundation. */
  founded_year?: number | null;
  /** Picture of the company. */
  logo?: RefInput | null;
  /** Readers see the company only while it is active. */
  status?: "active" | "inactive" | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** A conference, fair or other gathering. */
export interface Event {
  /** Number of the event. */
  id: number;
  /** Name of the event. */
  title: string;
  /** Name of the event in addresses; made from the title if absent. */
  slug: string;
  /** About the event. */
  description: string | null;
  /** Where the event is in its life; readers see published ones only. */
  status: "draft" | "scheduled" | "published" | "archived";
  /** When it begins. */
  starts_at: string;
  /** When it ends. */
  ends_at: string | null;
  /** Time zone of the venue, IANA name. */
  timezone: string | null;
  /** Where it takes place. */
  venue_name: string | null;
  /** Postal address of the venue. */
  address: string | null;
  /** Where to take part online. */
  online_url: string | null;
  /** How many people there is room for. */
  capacity: number | null;
  /** Price of a ticket in the currency's minor unit. */
  price_minor: number | null;
  /** Currency of the amount, ISO 4217. */
  currency: string | null;
  /** Who keeps this entry; the caller if absent. */
  author: Ref<User> | null;
  /** Company behind the event. */
  organizer: Ref<Company> | null;
  /** Picture of the event. */
  image: Ref<Media> | null;
  /** Experts who speak, in this order. */
  speakers: Array<Ref<Expert>>;
  /** When the event appears; set at publishing if absent, hidden while it lies ahead. */
  published_at: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta: Record<string, unknown>;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface EventInput {
  /** Name of the event. */
  title: string;
  /** Name of the event in addresses; made from the title if absent. */
  slug?: string | null;
  /** About the event. */
  description?: string | null;
  /** Where the event is in its life; readers see published ones only. */
  status: "draft" | "scheduled" | "published" | "archived";
  /** When it begins. */
  starts_at: string;
  /** When it ends. */
  ends_at?: string | null;
  /** Time zone of the venue, IANA name. */
  timezone?: string | null;
  /** Where it takes place. */
  venue_name?: string | null;
  /** Postal address of the venue. */
  address?: string | null;
  /** Where to take part online. */
  online_url?: string | null;
  /** How many people there is room for. */
  capacity?: number | null;
  /** Price of a ticket in the currency's minor unit. */
  price_minor?: number | null;
  /** Currency of the amount, ISO 4217. */
  currency?: string | null;
  /** Who keeps this entry; the caller if absent. */
  author?: RefInput | null;
  /** Company behind the event. */
  organizer?: RefInput | null;
  /** Picture of the event. */
  image?: RefInput | null;
  /** Experts who speak, in this order. */
  speakers?: Array<RefInput> | null;
  /** When the event appears; set at publishing if absent, hidden while it lies ahead. */
  published_at?: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

export interface EventPatch {
  /** Name of the event. */
  title?: string;
  /** Name of the event in addresses; made from the title if absent. */
  slug?: string | null;
  /** About the event. */
  description?: string | null;
  /** Where the event is in its life; readers see published ones only. */
  status?: "draft" | "scheduled" | "published" | "archived";
  /** When it begins. */
  starts_at?: string;
  /** When it ends. */
  ends_at?: string | null;
  /** Time zone of the venue, IANA name. */
  timezone?: string | null;
  /** Where it takes place. */
  venue_name?: string | null;
  /** Postal address of the venue. */
  address?: string | null;
  /** Where to take part online. */
  online_url?: string | null;
  /** How many people there is room for. */
  capacity?: number | null;
  /** Price of a ticket in the currency's minor unit. */
  price_minor?: number | null;
  /** Currency of the amount, ISO 4217. */
  currency?: string | null;
  /** Who keeps this entry; the caller if absent. */
  author?: RefInput | null;
  /** Company behind the event. */
  organizer?: RefInput | null;
  /** Picture of the event. */
  image?: RefInput | null;
  /** Experts who speak, in this order. */
  speakers?: Array<RefInput> | null;
  /** When the event appears; set at publishing if absent, hidden while it lies ahead. */
  published_at?: string | null;
  /** Free JSON object for your own data; a merge patch merges into it. */
  meta?: Record<string, unknown> | null;
}

/** A key that a program signs in with. */
export interface ApiKey {
  /** Number of the key. */
  id: number;
  /** What the key is for. */
  name: string;
  /** Where the key is used. */
  device: string | null;
  /** Whose key it is; the caller if absent. */
  user: Ref<User> | null;
  /** Start of the key, to recognise it by. */
  prefix: string;
  /** What the key may do, within what its user's role may. */
  scopes: string[];
  /** Only active keys are accepted. */
  status: "active" | "expired" | "revoked";
  /** When the key stops working; null: never. */
  expires_at: string | null;
  /** Until when the key of before the last rotation is accepted; null: it is not. */
  previous_expires_at: string | null;
  /** When it was last rotated. */
  rotated_at: string | null;
  /** Networks (CIDR) the key is accepted from; empty: any. */
  allowed_networks: string[];
  /** A key for trying: it reaches data of its own only, for four hours. */
  sandbox: boolean;
  /** Units a minute that the key may use (docs/limits.md); null: the platform's default. */
  rate_limit: number | null;
  /** Units a calendar month (UTC) that the key may use; null: no quota. */
  quota_monthly: number | null;
  /** When the key was last used, to the minute; shown within two minutes. */
  last_used_at: string | null;
  /** The address it was used from then. */
  last_used_address: string | null;
  /** What the client called itself then (User-Agent). */
  last_used_agent: string | null;
  /** When it was revoked. */
  revoked_at: string | null;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface ApiKeyInput {
  /** What the key is for. */
  name: string;
  /** Where the key is used. */
  device?: string | null;
  /** Whose key it is; the caller if absent. */
  user?: RefInput | null;
  /** What the key may do, within what its user's role may. */
  scopes: string[];
  /** When the key stops working; null: never. */
  expires_at?: string | null;
  /** Networks (CIDR) the key is accepted from; empty: any. */
  allowed_networks?: string[] | null;
  /** Units a minute that the key may use (docs/limits.md); null: the platform's default. */
  rate_limit?: number | null;
  /** Units a calendar month (UTC) that the key may use; null: no quota. */
  quota_monthly?: number | null;
}

export interface ApiKeyPatch {
  /** What the key is for. */
  name?: string;
  /** Where the key is used. */
  device?: string | null;
  /** What the key may do, within what its user's role may. */
  scopes?: string[];
  /** When the key stops working; null: never. */
  expires_at?: string | null;
  /** Networks (CIDR) the key is accepted from; empty: any. */
  allowed_networks?: string[] | null;
  /** Units a minute that the key may use (docs/limits.md); null: the platform's default. */
  rate_limit?: number | null;
  /** Units a calendar month (UTC) that the key may use; null: no quota. */
  quota_monthly?: number | null;
}

/** A program of somebody else's that people let act for them, or that acts for itself. */
export interface OauthClient {
  /** Number of the client. */
  id: number;
  /** What the client calls itself at /oauth. */
  client_id: string;
  /** What people see when they are asked to consent. */
  name: string;
  /** Where people can read about it. */
  website: string | null;
  /** Public clients (apps on phones, in browsers) cannot keep a secret. */
  type: "confidential" | "public";
  /** Who answers for the client; the caller if absent. */
  user: Ref<User> | null;
  /** Where people are sent back to, compared exactly; http on loopback may have any port. */
  redirect_uris: string[];
  /** authorization_code, refresh_token, client_credentials. */
  grant_types: string[];
  /** The most that the client may ask for. */
  scopes: string[];
  /** With client_credentials: what the client may do as itself, within its owner's role. */
  role: "admin" | "editor" | "author" | "member" | null;
  /** How it proves who it is; a secret may be sent either way. Public clients: none. */
  token_endpoint_auth_method: "none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt";
  /** Its public keys (RFC 7517), for private_key_jwt: ES256 or RS256. */
  jwks: Record<string, unknown> | null;
  /** How its access tokens are signed: ES256 or RS256. */
  signing_alg: string;
  /** Whether /oauth/authorize takes only what /oauth/par was given. */
  require_pushed_requests: boolean;
  /** Whether all its tokens must be bound to a DPoP key. */
  dpop_bound: boolean;
  /** Networks (CIDR) that its secrets and its own tokens are accepted from; empty: any. */
  allowed_networks: string[];
  /** Units a minute that all its tokens may use (docs/limits.md); null: the platform's default. */
  rate_limit: number | null;
  /** Units a calendar month (UTC) that all its tokens may use; null: no quota. */
  quota_monthly: number | null;
  /** A revoked client and its tokens are refused, for good. */
  status: "active" | "revoked";
  /** Until when the secret before the present one is accepted. */
  previous_expires_at: string | null;
  /** When it was revoked. */
  revoked_at: string | null;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface OauthClientInput {
  /** What people see when they are asked to consent. */
  name: string;
  /** Where people can read about it. */
  website?: string | null;
  /** Public clients (apps on phones, in browsers) cannot keep a secret. */
  type?: "confidential" | "public" | null;
  /** Who answers for the client; the caller if absent. */
  user?: RefInput | null;
  /** Where people are sent back to, compared exactly; http on loopback may have any port. */
  redirect_uris?: string[] | null;
  /** authorization_code, refresh_token, client_credentials. */
  grant_types?: string[] | null;
  /** The most that the client may ask for. */
  scopes: string[];
  /** With client_credentials: what the client may do as itself, within its owner's role. */
  role?: "admin" | "editor" | "author" | "member" | null;
  /** How it proves who it is; a secret may be sent either way. Public clients: none. */
  token_endpoint_auth_method?: "none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt" | null;
  /** Its public keys (RFC 7517), for private_key_jwt: ES256 or RS256. */
  jwks?: Record<string, unknown> | null;
  /** How its access tokens are signed: ES256 or RS256. */
  signing_alg?: string | null;
  /** Whether /oauth/authorize takes only what /oauth/par was given. */
  require_pushed_requests?: boolean | null;
  /** Whether all its tokens must be bound to a DPoP key. */
  dpop_bound?: boolean | null;
  /** Networks (CIDR) that its secrets and its own tokens are accepted from; empty: any. */
  allowed_networks?: string[] | null;
  /** Units a minute that all its tokens may use (docs/limits.md); null: the platform's default. */
  rate_limit?: number | null;
  /** Units a calendar month (UTC) that all its tokens may use; null: no quota. */
  quota_monthly?: number | null;
}

export interface OauthClientPatch {
  /** What people see when they are asked to consent. */
  name?: string;
  /** Where people can read about it. */
  website?: string | null;
  /** Where people are sent back to, compared exactly; http on loopback may have any port. */
  redirect_uris?: string[] | null;
  /** authorization_code, refresh_token, client_credentials. */
  grant_types?: string[] | null;
  /** The most that the client may ask for. */
  scopes?: string[];
  /** With client_credentials: what the client may do as itself, within its owner's role. */
  role?: "admin" | "editor" | "author" | "member" | null;
  /** Its public keys (RFC 7517), for private_key_jwt: ES256 or RS256. */
  jwks?: Record<string, unknown> | null;
  /** How its access tokens are signed: ES256 or RS256. */
  signing_alg?: string | null;
  /** Whether /oauth/authorize takes only what /oauth/par was given. */
  require_pushed_requests?: boolean | null;
  /** Whether all its tokens must be bound to a DPoP key. */
  dpop_bound?: boolean | null;
  /** Networks (CIDR) that its secrets and its own tokens are accepted from; empty: any. */
  allowed_networks?: string[] | null;
  /** Units a minute that all its tokens may use (docs/limits.md); null: the platform's default. */
  rate_limit?: number | null;
  /** Units a calendar month (UTC) that all its tokens may use; null: no quota. */
  quota_monthly?: number | null;
}

/** A person's consent that a client acts for them. */
export interface OauthGrant {
  /** Number of the grant. */
  id: number;
  /** Who consented. */
  user: Ref<User> | null;
  /** The client that acts for them. */
  client: Ref<OauthClient> | null;
  /** What the client was called when they consented. */
  client_name: string | null;
  /** What the client may do; may be narrowed. */
  scopes: string[];
  /** The tokens of a revoked consent are refused. */
  status: "active" | "revoked";
  /** When it was revoked. */
  revoked_at: string | null;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface OauthGrantInput {
  /** What the client may do; may be narrowed. */
  scopes: string[];
}

export interface OauthGrantPatch {
  /** What the client may do; may be narrowed. */
  scopes?: string[];
}

/** A browser that is signed in, or was. */
export interface AuthSession {
  /** Number of the session. */
  id: number;
  /** Who is signed in. */
  user: Ref<User> | null;
  /** Where the sign-in came from. */
  address: string | null;
  /** What the browser called itself (User-Agent). */
  agent: string | null;
  /** When it was last used, to the half minute. */
  last_seen_at: string;
  /** Where it was used from then. */
  last_seen_address: string | null;
  /** When it ends at the latest. */
  expires_at: string;
  /** When it was ended; null: it was not. */
  revoked_at: string | null;
  /** When it was created. */
  created_at: string;
}

/** What was done to a credential, a sign-in or a webhook source. */
export interface AuditEntry {
  /** Number of the entry. */
  id: number;
  /** What happened. */
  type: string;
  /** Who did it, and by which credential. */
  actor: string | null;
  /** Whom it concerns; null: nobody that is known. */
  user: Ref<User> | null;
  /** What it was done to. */
  subject: string;
  /** Where the request came from. */
  address: string | null;
  /** What the client called itself (User-Agent). */
  agent: string | null;
  /** Request that did it. */
  request_id: string | null;
  /** More about it. */
  data: Record<string, unknown>;
  /** When it was created. */
  created_at: string;
}

/** A URL that is told about events. */
export interface WebhookEndpoint {
  /** Number of the endpoint. */
  id: number;
  /** Whose endpoint it is: it hears what this user may read. */
  user: Ref<User> | null;
  /** Where events are posted to. */
  url: string;
  /** Event types, or all of an entity as post.*, or * for every one. */
  events: string[];
  /** Only events of which this holds: fields of data with the operators of list filters, in groups or, and, not; $.type and $.changed look at the event itself. */
  filter: Record<string, unknown>;
  /** What data holds beside the id; empty: all that may be seen. */
  fields: string[];
  /** thin: data has the id only, and link says where to read the rest. */
  payload: "full" | "thin";
  /** Standard Webhooks, or CloudEvents 1.0 in structured or binary mode; the receiver must allow the latter in an OPTIONS handshake. */
  format: "standard" | "cloudevents" | "cloudevents_binary";
  /** What the endpoint is for. */
  description: string | null;
  /** Sent with every request, and shown: what is secret belongs into auth. */
  headers: Record<string, unknown>;
  /** How we prove who we are: none, basic, bearer, oauth2 (client credentials) or mtls, each also with a client certificate; replaced as a whole, its secrets are never shown. */
  auth: Record<string, unknown>;
  /** Requests a minute at most; null: no limit. */
  rate_limit: number | null;
  /** Requests at the same time; 1 keeps the order of each entity's events. */
  max_in_flight: number;
  /** Keeps the order of each entity's events with more than one in flight, too. */
  ordered: boolean;
  /** How long a delivery that fails holds the later ones of its entity; null: until it is taken or given up. */
  order_timeout_s: number | null;
  /** Several events a request: when there are max_events (1 to 1000), or the first of them has waited max_wait_ms (up to 600000).  null: one event a request. */
  batch: Record<string, unknown> | null;
  /** Seconds before each retry, 20 retries at most; null: the platform's, five that double. */
  retry_schedule: unknown[] | null;
  /** What becomes of events while it is not active: hold sends them afterwards, skip keeps them to be recovered. */
  while_paused: "hold" | "skip";
  /** Sign with Ed25519 (v1a) too, for receivers that hold no secret. */
  ed25519: boolean;
  /** What v1a signatures are verified with. */
  public_key: string | null;
  /** A paused endpoint gets nothing until it is active again; disabled is the platform's way to pause one. */
  status: "active" | "paused" | "disabled";
  /** When the platform disabled it. */
  disabled_at: string | null;
  /** Why the platform disabled it. */
  disabled_reason: string | null;
  /** First failure since the last success; null: the last attempt succeeded. */
  failing_since: string | null;
  /** How much of the time after which a failing endpoint is disabled was told of: 50, 70, 90 or 100. */
  failure_percent: number;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface WebhookEndpointInput {
  /** Where events are posted to. */
  url: string;
  /** Event types, or all of an entity as post.*, or * for every one. */
  events: string[];
  /** Only events of which this holds: fields of data with the operators of list filters, in groups or, and, not; $.type and $.changed look at the event itself. */
  filter?: Record<string, unknown> | null;
  /** What data holds beside the id; empty: all that may be seen. */
  fields?: string[] | null;
  /** thin: data has the id only, and link says where to read the rest. */
  payload?: "full" | "thin" | null;
  /** Standard Webhooks, or CloudEvents 1.0 in structured or binary mode; the receiver must allow the latter in an OPTIONS handshake. */
  format?: "standard" | "cloudevents" | "cloudevents_binary" | null;
  /** What the endpoint is for. */
  description?: string | null;
  /** Sent with every request, and shown: what is secret belongs into auth. */
  headers?: Record<string, unknown> | null;
  /** How we prove who we are: none, basic, bearer, oauth2 (client credentials) or mtls, each also with a client certificate; replaced as a whole, its secrets are never shown. */
  auth?: Record<string, unknown> | null;
  /** Requests a minute at most; null: no limit. */
  rate_limit?: number | null;
  /** Requests at the same time; 1 keeps the order of each entity's events. */
  max_in_flight?: number | null;
  /** Keeps the order of each entity's events with more than one in flight, too. */
  ordered?: boolean | null;
  /** How long a delivery that fails holds the later ones of its entity; null: until it is taken or given up. */
  order_timeout_s?: number | null;
  /** Several events a request: when there are max_events (1 to 1000), or the first of them has waited max_wait_ms (up to 600000).  null: one event a request. */
  batch?: Record<string, unknown> | null;
  /** Seconds before each retry, 20 retries at most; null: the platform's, five that double. */
  retry_schedule?: unknown[] | null;
  /** What becomes of events while it is not active: hold sends them afterwards, skip keeps them to be recovered. */
  while_paused?: "hold" | "skip" | null;
  /** Sign with Ed25519 (v1a) too, for receivers that hold no secret. */
  ed25519?: boolean | null;
  /** A paused endpoint gets nothing until it is active again; disabled is the platform's way to pause one. */
  status?: "active" | "paused" | "disabled" | null;
}

export interface WebhookEndpointPatch {
  /** Where events are posted to. */
  url?: string;
  /** Event types, or all of an entity as post.*, or * for every one. */
  events?: string[];
  /** Only events of which this holds: fields of data with the operators of list filters, in groups or, and, not; $.type and $.changed look at the event itself. */
  filter?: Record<string, unknown> | null;
  /** What data holds beside the id; empty: all that may be seen. */
  fields?: string[] | null;
  /** thin: data has the id only, and link says where to read the rest. */
  payload?: "full" | "thin" | null;
  /** Standard Webhooks, or CloudEvents 1.0 in structured or binary mode; the receiver must allow the latter in an OPTIONS handshake. */
  format?: "standard" | "cloudevents" | "cloudevents_binary" | null;
  /** What the endpoint is for. */
  description?: string | null;
  /** Sent with every request, and shown: what is secret belongs into auth. */
  headers?: Record<string, unknown> | null;
  /** How we prove who we are: none, basic, bearer, oauth2 (client credentials) or mtls, each also with a client certificate; replaced as a whole, its secrets are never shown. */
  auth?: Record<string, unknown> | null;
  /** Requests a minute at most; null: no limit. */
  rate_limit?: number | null;
  /** Requests at the same time; 1 keeps the order of each entity's events. */
  max_in_flight?: number | null;
  /** Keeps the order of each entity's events with more than one in flight, too. */
  ordered?: boolean | null;
  /** How long a delivery that fails holds the later ones of its entity; null: until it is taken or given up. */
  order_timeout_s?: number | null;
  /** Several events a request: when there are max_events (1 to 1000), or the first of them has waited max_wait_ms (up to 600000).  null: one event a request. */
  batch?: Record<string, unknown> | null;
  /** Seconds before each retry, 20 retries at most; null: the platform's, five that double. */
  retry_schedule?: unknown[] | null;
  /** What becomes of events while it is not active: hold sends them afterwards, skip keeps them to be recovered. */
  while_paused?: "hold" | "skip" | null;
  /** Sign with Ed25519 (v1a) too, for receivers that hold no secret. */
  ed25519?: boolean | null;
  /** A paused endpoint gets nothing until it is active again; disabled is the platform's way to pause one. */
  status?: "active" | "paused" | "disabled" | null;
}

/** One event on its way to one endpoint. */
export interface WebhookDelivery {
  /** Identifier of the delivery. */
  id: string;
  /** Where it goes. */
  endpoint: Ref<WebhookEndpoint> | null;
  /** Whose endpoint it is. */
  user: Ref<User> | null;
  /** The event: the webhook-id of every attempt.  Filters take it without evt_ too. */
  event_id: string;
  /** Type of the event; batch: several in one request. */
  event: string;
  /** What the event is about. */
  entity: string;
  /** What made it: the event itself, or a request to send it again or to test. */
  trigger: "event" | "resend" | "recover" | "replay" | "test";
  /** failed: another attempt follows; dead: none does; canceled: its endpoint was deleted; skipped: its endpoint was not active; batched: it travels in the delivery batch_id. */
  status: "pending" | "failed" | "delivered" | "dead" | "canceled" | "skipped" | "batched";
  /** The delivery of event batch that carries it. */
  batch_id: string | null;
  /** Attempts made so far. */
  attempts: number;
  /** HTTP status of the last attempt's answer. */
  response_code: number | null;
  /** Time the last attempt took. */
  latency_ms: number | null;
  /** When it is tried again. */
  next_attempt_at: string | null;
  /** Why the last attempt failed. */
  last_error: string | null;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

/** One request of a delivery. */
export interface WebhookAttempt {
  /** Number of the attempt. */
  id: number;
  /** Which attempt it was, from 1. */
  attempt: number;
  /** How it ended. */
  outcome: "delivered" | "failed" | "dead";
  /** HTTP status of the answer; null: there was none. */
  response_code: number | null;
  /** Why it was made; probe: the one request that asks whether a failing endpoint is back. */
  trigger: "first" | "retry" | "probe" | "resend" | "recover" | "replay" | "test";
  /** Time the attempt took. */
  latency_ms: number | null;
  /** Until the host name was known; null: it was not asked for. */
  dns_ms: number | null;
  /** Until the connection stood; null: one was used again, or none came. */
  connect_ms: number | null;
  /** Until TLS was agreed on. */
  tls_ms: number | null;
  /** Until the answer's first byte. */
  first_byte_ms: number | null;
  /** Who was connected to. */
  address: string | null;
  /** Where it went. */
  url: string | null;
  /** What was sent beside the payload, with credentials masked. */
  request_headers: Record<string, unknown> | null;
  /** Of the answer, with cookies masked. */
  response_headers: Record<string, unknown> | null;
  /** Why it failed. */
  error: string | null;
  /** Start of the answer's body. */
  response_body: string | null;
  /** When it was created. */
  created_at: string;
}

/** A system outside that tells us of what happens there. */
export interface WebhookSource {
  /** Number of the source. */
  id: number;
  /** Whose source it is: its actions have this user's rights. */
  user: Ref<User> | null;
  /** What people call the source. */
  name: string;
  /** Name of the source in its address; made from the name if absent. */
  slug: string;
  /** Who sends, which says how messages are verified; hmac, jwt, basic and token are general, none verifies nothing. */
  provider: string;
  /** Where the provider posts to; token providers append their token. */
  path: string;
  /** A paused source takes messages and holds them until it is active again. */
  status: "active" | "paused";
  /** provider: as the provider signs; none: nothing is verified, which the provider none needs said, with a reason. */
  verification: "provider" | "none";
  /** Why nothing is verified; needed with the provider none. */
  reason: string | null;
  /** What the provider's verification needs beside the secret; replaced as a whole. */
  settings: Record<string, unknown>;
  /** Until when the secret before the last rotation is taken too. */
  previous_until: string | null;
  /** CIDR blocks that messages may come from; empty: any. */
  allowed_networks: string[];
  /** Where a message's own id stands: a JSON pointer into the body, or header:Name. Absent: where the provider puts it, else the digest of the body. */
  dedupe: string | null;
  /** Where the key stands of which messages are worked on one after the other, in the order they came: a JSON pointer into the body, header:Name, or source (all of them). Absent: none waits for another. */
  order_by: string | null;
  /** Messages a minute; more are answered 429. */
  rate_limit: number | null;
  /** How long messages are kept: 7, 30 or 90. */
  retention_days: number;
  /** What becomes of a message: jq or fields, and actions; replaced as a whole, earlier versions are kept. */
  mapping: Record<string, unknown>;
  /** Counts the changes of mapping. */
  mapping_version: number;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

export interface WebhookSourceInput {
  /** What people call the source. */
  name: string;
  /** Name of the source in its address; made from the name if absent. */
  slug?: string | null;
  /** Who sends, which says how messages are verified; hmac, jwt, basic and token are general, none verifies nothing. */
  provider: string;
  /** A paused source takes messages and holds them until it is active again. */
  status?: "active" | "paused" | null;
  /** provider: as the provider signs; none: nothing is verified, which the provider none needs said, with a reason. */
  verification?: "provider" | "none" | null;
  /** Why nothing is verified; needed with the provider none. */
  reason?: string | null;
  /** What the provider's verification needs beside the secret; replaced as a whole. */
  settings?: Record<string, unknown> | null;
  /** What signatures are checked with; shown once, when it was generated. */
  secret?: string | null;
  /** CIDR blocks that messages may come from; empty: any. */
  allowed_networks?: string[] | null;
  /** Where a message's own id stands: a JSON pointer into the body, or header:Name. Absent: where the provider puts it, else the digest of the body. */
  dedupe?: string | null;
  /** Where the key stands of which messages are worked on one after the other, in the order they came: a JSON pointer into the body, header:Name, or source (all of them). Absent: none waits for another. */
  order_by?: string | null;
  /** Messages a minute; more are answered 429. */
  rate_limit?: number | null;
  /** How long messages are kept: 7, 30 or 90. */
  retention_days?: number | null;
  /** What becomes of a message: jq or fields, and actions; replaced as a whole, earlier versions are kept. */
  mapping?: Record<string, unknown> | null;
}

export interface WebhookSourcePatch {
  /** What people call the source. */
  name?: string;
  /** A paused source takes messages and holds them until it is active again. */
  status?: "active" | "paused" | null;
  /** Why nothing is verified; needed with the provider none. */
  reason?: string | null;
  /** What the provider's verification needs beside the secret; replaced as a whole. */
  settings?: Record<string, unknown> | null;
  /** CIDR blocks that messages may come from; empty: any. */
  allowed_networks?: string[] | null;
  /** Where a message's own id stands: a JSON pointer into the body, or header:Name. Absent: where the provider puts it, else the digest of the body. */
  dedupe?: string | null;
  /** Where the key stands of which messages are worked on one after the other, in the order they came: a JSON pointer into the body, header:Name, or source (all of them). Absent: none waits for another. */
  order_by?: string | null;
  /** Messages a minute; more are answered 429. */
  rate_limit?: number | null;
  /** How long messages are kept: 7, 30 or 90. */
  retention_days?: number | null;
  /** What becomes of a message: jq or fields, and actions; replaced as a whole, earlier versions are kept. */
  mapping?: Record<string, unknown> | null;
}

/** One message of a source, and what became of it. */
export interface WebhookMessage {
  /** Identifier of the message. */
  id: string;
  /** Where it was posted to. */
  source: Ref<WebhookSource> | null;
  /** Whose source it is. */
  user: Ref<User> | null;
  /** Who sent it. */
  provider: string;
  /** Kind of the message, where the provider names it. */
  event: string | null;
  /** The message's own id: another with the same is acknowledged and not acted on. */
  dedupe_key: string;
  /** held: the source is paused; ignored: no action applies; failed: another attempt follows; dead: none does. */
  status: "accepted" | "held" | "working" | "done" | "ignored" | "failed" | "dead";
  /** How often it was worked on. */
  attempts: number;
  /** What went wrong last. */
  error: string | null;
  /** When it is worked on again. */
  next_attempt_at: string | null;
  /** Version of the mapping that was used. */
  mapping_version: number | null;
  /** HTTP method of the request. */
  method: string;
  /** Media type of the body. */
  content_type: string;
  /** Who connected. */
  address: string;
  /** Length of the body. */
  size_bytes: number;
  /** What the mapping told others by an emit action. */
  data: Record<string, unknown> | null;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

/** A link that shows a receiver's engineer some endpoints and their log, for a while. */
export interface WebhookPortal {
  /** Number of the portal link. */
  id: number;
  /** Whose endpoints it shows. */
  user: Ref<User> | null;
  /** Whom it was made for. */
  label: string | null;
  /** The endpoints it shows, and no others. */
  endpoint_ids: unknown[];
  /** Whether deliveries may be sent again. */
  can_resend: boolean;
  /** Whether the signing secret may be replaced, which shows the new one. */
  can_rotate: boolean;
  /** Until when it works. */
  expires_at: string;
  /** Since when it works no longer. */
  revoked_at: string | null;
  /** When it was used last, to the minute. */
  last_used_at: string | null;
  /** What was changed through it last. */
  last_action: string | null;
  /** When it was created. */
  created_at: string;
}

/** One request of the log. */
export interface ApiRequest {
  /** Number of the record. */
  id: number;
  /** When the request began. */
  at: string;
  /** Who answered it. */
  program: string;
  /** HTTP method. */
  method: string;
  /** Template of the path; unmatched: there is nothing there. */
  route: string;
  /** HTTP status of the answer. */
  status: number;
  /** Microseconds from its first byte to the answer. */
  total_us: number;
  /** Of these, until its handler began. */
  queue_us: number;
  /** Of these, waiting for the database. */
  db_us: number;
  /** Length of its body. */
  bytes_in: number;
  /** Length of the answer's body. */
  bytes_out: number;
  /** What kind of credential it had. */
  consumer: "anonymous" | "key" | "client" | "session";
  /** The API key. */
  key: Ref<ApiKey> | null;
  /** The OAuth client. */
  client: Ref<OauthClient> | null;
  /** Whom the credential stands for. */
  user: Ref<User> | null;
  /** Its X-Request-Id; null: the client sent one that is neither a UUID nor 32 hex digits. */
  request_id: string | null;
  /** Pseudonym of the client's network for that day. */
  network: string;
  /** Family of the User-Agent. */
  agent: string;
  /** Country of the client, if a proxy says it; ISO 3166-1 alpha-2. */
  country: string | null;
  /** Name of the problem that was answered. */
  problem: string | null;
}

/** Something unusual about the API's traffic. */
export interface Anomaly {
  /** Number of the anomaly. */
  id: number;
  /** What is unusual. */
  signal: "rate_high" | "rate_low" | "errors" | "latency" | "new_country" | "new_agent" | "key_sharing";
  /** Of what; all: of all requests together. */
  subject: "all" | "route" | "anonymous" | "key" | "client" | "session";
  /** The API key. */
  key: Ref<ApiKey> | null;
  /** The OAuth client. */
  client: Ref<OauthClient> | null;
  /** Whom the credential stands for; null: it concerns the platform. */
  user: Ref<User> | null;
  /** Of a route: who answers it. */
  program: string | null;
  /** Of a route: the HTTP method. */
  method: string | null;
  /** Of a route: the template of its path. */
  route: string | null;
  /** For people. */
  explanation: string;
  /** What was seen, in `unit`; the highest while it is open. */
  observed: number;
  /** What is usual at that hour, in `unit`. */
  usual: number;
  /** Requests in 5 minutes, failures in 1,000 requests, milliseconds at the 95th percentile, networks in an hour. */
  unit: "requests" | "permille" | "ms" | "networks";
  /** Observed as percent of usual; 0: there was none before. */
  factor_percent: number;
  /** Hour of the week that it was compared with, UTC; null: another measure. */
  slot: string | null;
  /** open: it goes on. */
  status: "open" | "resolved";
  /** Begin of the five minutes in which it began. */
  started_at: string;
  /** When all was usual again. */
  ended_at: string | null;
  /** Until then nobody is told of this signal of this subject. */
  muted_until: string | null;
  /** What people said of it: the next such thing needs more, or less, to be told. */
  feedback: "useful" | "false_alarm" | null;
  /** Counts the changes; the number in the ETag, to be sent back in If-Match. */
  version: number;
  /** When it was created. */
  created_at: string;
  /** When it was last changed. */
  updated_at: string;
}

/** Body of a webhook delivery. */
export type WebhookEvent =
  | Delivery<"user.created", User>
  | Delivery<"user.updated", User>
  | Delivery<"user.deleted", User>
  | Delivery<"user.restored", User>
  | Delivery<"post.created", Post>
  | Delivery<"post.updated", Post>
  | Delivery<"post.deleted", Post>
  | Delivery<"post.restored", Post>
  | Delivery<"post.published", Post>
  | Delivery<"post.unpublished", Post>
  | Delivery<"post.scheduled", Post>
  | Delivery<"page.created", Page>
  | Delivery<"page.updated", Page>
  | Delivery<"page.deleted", Page>
  | Delivery<"page.restored", Page>
  | Delivery<"page.published", Page>
  | Delivery<"page.unpublished", Page>
  | Delivery<"page.scheduled", Page>
  | Delivery<"media.created", Media>
  | Delivery<"media.updated", Media>
  | Delivery<"media.deleted", Media>
  | Delivery<"media.restored", Media>
  | Delivery<"expert.created", Expert>
  | Delivery<"expert.updated", Expert>
  | Delivery<"expert.deleted", Expert>
  | Delivery<"expert.restored", Expert>
  | Delivery<"company.created", Company>
  | Delivery<"company.updated", Company>
  | Delivery<"company.deleted", Company>
  | Delivery<"company.restored", Company>
  | Delivery<"event.created", Event>
  | Delivery<"event.updated", Event>
  | Delivery<"event.deleted", Event>
  | Delivery<"event.restored", Event>
  | Delivery<"event.published", Event>
  | Delivery<"event.unpublished", Event>
  | Delivery<"event.scheduled", Event>
  | Delivery<"key.quota_warning", ApiKey>
  | Delivery<"key.quota_exceeded", ApiKey>
  | Delivery<"key.created", ApiKey>
  | Delivery<"key.updated", ApiKey>
  | Delivery<"key.rotated", ApiKey>
  | Delivery<"key.expiring", ApiKey>
  | Delivery<"key.revoked", ApiKey>
  | Delivery<"key.expired", ApiKey>
  | Delivery<"key.denied", AuditEntry>
  | Delivery<"client.denied", AuditEntry>
  | Delivery<"session.denied", AuditEntry>
  | Delivery<"policy.changed", AuditEntry>
  | Delivery<"client.created", OauthClient>
  | Delivery<"client.updated", OauthClient>
  | Delivery<"client.revoked", OauthClient>
  | Delivery<"client.quota_warning", OauthClient>
  | Delivery<"client.quota_exceeded", OauthClient>
  | Delivery<"grant.created", OauthGrant>
  | Delivery<"grant.updated", OauthGrant>
  | Delivery<"grant.revoked", OauthGrant>
  | Delivery<"grant.reused", OauthGrant>
  | Delivery<"login.locked", AuditEntry>
  | Delivery<"login.unlocked", AuditEntry>
  | Delivery<"user.invited", AuditEntry>
  | Delivery<"password.reset_requested", AuditEntry>
  | Delivery<"password.reset", AuditEntry>
  | Delivery<"password.changed", AuditEntry>
  | Delivery<"password.revoked", AuditEntry>
  | Delivery<"totp.enabled", AuditEntry>
  | Delivery<"totp.disabled", AuditEntry>
  | Delivery<"totp.recovery_used", AuditEntry>
  | Delivery<"totp.recovery_renewed", AuditEntry>
  | Delivery<"session.ended", AuditEntry>
  | Delivery<"webhook.endpoint.created", WebhookEndpoint>
  | Delivery<"webhook.endpoint.updated", WebhookEndpoint>
  | Delivery<"webhook.endpoint.failing", WebhookEndpoint>
  | Delivery<"webhook.endpoint.recovered", WebhookEndpoint>
  | Delivery<"webhook.endpoint.disabled", WebhookEndpoint>
  | Delivery<"webhook.endpoint.rotated", WebhookEndpoint>
  | Delivery<"webhook.endpoint.deleted", WebhookEndpoint>
  | Delivery<"webhook.delivery.dead", WebhookDelivery>
  | Delivery<"webhook.portal.created", WebhookPortal>
  | Delivery<"webhook.portal.used", WebhookPortal>
  | Delivery<"webhook.portal.revoked", WebhookPortal>
  | Delivery<"webhook.source.created", WebhookSource>
  | Delivery<"webhook.source.updated", WebhookSource>
  | Delivery<"webhook.source.deleted", WebhookSource>
  | Delivery<"webhook.message.mapped", WebhookMessage>
  | Delivery<"webhook.message.dead", WebhookMessage>
  | Delivery<"webhook.message.called", WebhookMessage>
  | Delivery<"anomaly.detected", Anomaly>
  | Delivery<"anomaly.resolved", Anomaly>
  ;

export type EventType = WebhookEvent["type"];

export type Scope =
  | "api:read"
  | "api:write"
  | "api:admin"
  | "posts:read"
  | "posts:write"
  | "pages:read"
  | "pages:write"
  | "media:read"
  | "media:write"
  | "experts:read"
  | "experts:write"
  | "companies:read"
  | "companies:write"
  | "events:read"
  | "events:write"
  | "users:read"
  | "users:write"
  | "webhooks:read"
  | "webhooks:write"
  | "keys:read"
  | "keys:write"
  | "clients:read"
  | "clients:write"
  | "grants:read"
  | "grants:write"
  | "sessions:read"
  | "sessions:write"
  | "settings:read"
  | "settings:write"
  | "audit:read"
  | "analytics:read"
  | "analytics:write"
  ;
