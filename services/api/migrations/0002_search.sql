-- Full-text search in the language of each row, and an index for each field that lists may be sorted by.
--
-- What is called inside the functions is named with its schema: indexes are built and analyzed with no search path.
-- The configuration of a BCP 47 tag: its first part, by the dictionaries that come with PostgreSQL; simple for all others.
CREATE FUNCTION fts_config(language text) RETURNS regconfig LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE lower(split_part(language, '-', 1))
        WHEN 'ar' THEN 'pg_catalog.arabic'::regconfig WHEN 'ca' THEN 'pg_catalog.catalan'::regconfig
        WHEN 'da' THEN 'pg_catalog.danish'::regconfig WHEN 'de' THEN 'pg_catalog.german'::regconfig
        WHEN 'el' THEN 'pg_catalog.greek'::regconfig WHEN 'en' THEN 'pg_catalog.english'::regconfig
        WHEN 'es' THEN 'pg_catalog.spanish'::regconfig WHEN 'fi' THEN 'pg_catalog.finnish'::regconfig
        WHEN 'fr' THEN 'pg_catalog.french'::regconfig WHEN 'hu' THEN 'pg_catalog.hungarian'::regconfig
        WHEN 'it' THEN 'pg_catalog.italian'::regconfig WHEN 'nb' THEN 'pg_catalog.norwegian'::regconfig
        WHEN 'nl' THEN 'pg_catalog.dutch'::regconfig WHEN 'nn' THEN 'pg_catalog.norwegian'::regconfig
        WHEN 'no' THEN 'pg_catalog.norwegian'::regconfig WHEN 'pt' THEN 'pg_catalog.portuguese'::regconfig
        WHEN 'ro' THEN 'pg_catalog.romanian'::regconfig WHEN 'ru' THEN 'pg_catalog.russian'::regconfig
        WHEN 'sv' THEN 'pg_catalog.swedish'::regconfig WHEN 'tr' THEN 'pg_catalog.turkish'::regconfig
        ELSE 'pg_catalog.simple'::regconfig END
$$;

-- A tsvector holds 1 MiB: of very long text the first 100,000 characters are searched; if even these do not fit, as no
-- prose does, 10,000.
CREATE FUNCTION fts_long(config regconfig, body text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN to_tsvector(config, left(body, 100000));
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN to_tsvector(config, left(body, 10000));
END
$$;

DO $do$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION fts_document(language text, parts text[]) RETURNS tsvector
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $b$
        DECLARE
            config regconfig := %1$I.fts_config(language);
            body text := array_to_string(parts, E'\n');
        BEGIN
            IF octet_length(body) < 60000 THEN
                RETURN to_tsvector(config, body);
            END IF;
            RETURN %1$I.fts_long(config, body);
        END
        $b$ $f$, current_schema());
    EXECUTE format($f$
        CREATE FUNCTION fts_query(language text, words text) RETURNS tsquery
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $b$
        BEGIN
            RETURN websearch_to_tsquery(%1$I.fts_config(language), words);
        END
        $b$ $f$, current_schema());
END
$do$;

-- What an index can look up so that no row is missed, whatever its language: the words that are asked for, not those
-- that are excluded.  Null if there are none of the former.
CREATE FUNCTION fts_any(words text) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    config regconfig;
    asked tsquery;
    part text;
    seen text[] := '{}';
    found tsquery := ''::tsquery;
BEGIN
    FOREACH config IN ARRAY ARRAY['pg_catalog.simple', 'pg_catalog.arabic', 'pg_catalog.catalan', 'pg_catalog.danish',
        'pg_catalog.german', 'pg_catalog.greek', 'pg_catalog.english', 'pg_catalog.spanish', 'pg_catalog.finnish',
        'pg_catalog.french', 'pg_catalog.hungarian', 'pg_catalog.italian', 'pg_catalog.norwegian', 'pg_catalog.dutch',
        'pg_catalog.portuguese', 'pg_catalog.romanian', 'pg_catalog.russian', 'pg_catalog.swedish',
        'pg_catalog.turkish']::regconfig[] LOOP
        asked := websearch_to_tsquery(config, words);
        CONTINUE WHEN numnode(asked) = 0;
        part := querytree(asked);
        IF part IN ('', 'T') THEN
            RETURN NULL;
        END IF;
        CONTINUE WHEN part = ANY (seen);
        seen := seen || part;
        found := found || part::tsquery;
    END LOOP;
    RETURN found;
END
$$;
CREATE INDEX users_fts_idx ON users USING gin (fts_document(locale, ARRAY[display_name, bio])) WHERE deleted_at IS NULL;
CREATE INDEX posts_fts_idx ON posts USING gin (fts_document(language, ARRAY[title, excerpt, content, seo_title, seo_description]))
    WHERE deleted_at IS NULL;
CREATE INDEX pages_fts_idx ON pages USING gin (fts_document(language, ARRAY[title, content, template, seo_title, seo_description]))
    WHERE deleted_at IS NULL;
CREATE INDEX media_fts_idx ON media USING gin (fts_document(NULL::text, ARRAY[filename, title, alt_text, caption])) WHERE deleted_at IS NULL;
CREATE INDEX experts_fts_idx ON experts USING gin (fts_document(NULL::text, ARRAY[name, title, bio, city])) WHERE deleted_at IS NULL;
CREATE INDEX companies_fts_idx ON companies
    USING gin (fts_document(NULL::text, ARRAY[name, description, industry, street, postal_code, city])) WHERE deleted_at IS NULL;
CREATE INDEX events_fts_idx ON events USING gin (fts_document(NULL::text, ARRAY[title, description, venue_name, address]))
    WHERE deleted_at IS NULL;

-- Fields that lists may be sorted by and that 0001 has no index for.
CREATE INDEX users_username_idx ON users (username, id) WHERE deleted_at IS NULL;
CREATE INDEX users_created_at_idx ON users (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_updated_at_idx ON users (updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX posts_created_at_idx ON posts (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pages_title_idx ON pages (title, id) WHERE deleted_at IS NULL;
CREATE INDEX pages_published_at_idx ON pages (published_at, id) WHERE deleted_at IS NULL;
CREATE INDEX pages_created_at_idx ON pages (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX media_filename_idx ON media (filename, id) WHERE deleted_at IS NULL;
CREATE INDEX media_size_bytes_idx ON media (size_bytes, id) WHERE deleted_at IS NULL;
CREATE INDEX media_title_idx ON media (title, id) WHERE deleted_at IS NULL;
CREATE INDEX media_updated_at_idx ON media (updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX experts_city_idx ON experts (city, id) WHERE deleted_at IS NULL;
CREATE INDEX experts_hourly_rate_idx ON experts (hourly_rate_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX experts_created_at_idx ON experts (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX companies_industry_idx ON companies (industry, id) WHERE deleted_at IS NULL;
CREATE INDEX companies_city_idx ON companies (city, id) WHERE deleted_at IS NULL;
CREATE INDEX companies_employee_count_idx ON companies (employee_count, id) WHERE deleted_at IS NULL;
CREATE INDEX companies_founded_year_idx ON companies (founded_year, id) WHERE deleted_at IS NULL;
CREATE INDEX companies_created_at_idx ON companies (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX events_title_idx ON events (title, id) WHERE deleted_at IS NULL;
CREATE INDEX events_ends_at_idx ON events (ends_at, id) WHERE deleted_at IS NULL;
CREATE INDEX events_capacity_idx ON events (capacity, id) WHERE deleted_at IS NULL;
CREATE INDEX events_price_idx ON events (price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX events_created_at_idx ON events (created_at, id) WHERE deleted_at IS NULL;
DROP INDEX events_published_at_idx;
CREATE INDEX events_published_at_idx ON events (published_at, id) WHERE deleted_at IS NULL;
-- Slugs are unique, so they need no id to be sorted by; with it, pages far behind are found in the index alone.
DROP INDEX posts_slug_key, pages_slug_key, experts_slug_key, companies_slug_key, events_slug_key;
CREATE UNIQUE INDEX posts_slug_key ON posts (slug) INCLUDE (id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX pages_slug_key ON pages (slug) INCLUDE (id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX experts_slug_key ON experts (slug) INCLUDE (id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX companies_slug_key ON companies (slug) INCLUDE (id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX events_slug_key ON events (slug) INCLUDE (id) WHERE deleted_at IS NULL;
