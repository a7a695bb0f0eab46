-- What …/changes tells readers who do not see all rows: which rows they do not see any more (lost), and which they will see
-- by nothing but the passing of time (a date of publication).  uid 0: everybody; else who it was visible to as its owner.
-- Rows come to light by their own time of change, or by that of the row which refers to them; so nothing is written here
-- when something is published now.
CREATE TABLE moved (
    entity text NOT NULL,
    row_id bigint NOT NULL,
    at timestamptz NOT NULL,
    uid bigint NOT NULL,
    lost boolean NOT NULL,
    PRIMARY KEY (entity, at, row_id, uid, lost)
);
CREATE INDEX moved_at_idx ON moved (at);
CREATE INDEX purged_at_idx ON purged (at);

-- Does everybody see the row, as far as it depends on itself?  A few seconds early rather than late: a reader's clock
-- may be ahead of the transaction that asks.
CREATE FUNCTION moved_public(r jsonb) RETURNS boolean LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'deleted_at' IS NULL AND (r ->> 'status' = 'active' OR (r ->> 'status' = 'published' AND
        (r ->> 'published_at')::timestamptz <= clock_timestamp() + interval '5 seconds')), false)
$$;

-- TG_ARGV: the entity, the columns of its owner and of its picture ('' if it has none).
CREATE FUNCTION moved_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    o jsonb := to_jsonb(OLD);
    n jsonb := to_jsonb(NEW);
    old_owner bigint := nullif(o ->> TG_ARGV[1], '')::bigint;
    new_owner bigint := nullif(n ->> TG_ARGV[1], '')::bigint;
    old_media bigint := nullif(o ->> TG_ARGV[2], '')::bigint;
    new_media bigint := nullif(n ->> TG_ARGV[2], '')::bigint;
    is_user boolean := TG_ARGV[0] = 'user';
    was boolean := moved_public(o);
    stays boolean := moved_public(n);
    dead boolean := o ->> 'deleted_at' IS NOT NULL OR o IS NULL;
    dies boolean := n ->> 'deleted_at' IS NOT NULL OR n IS NULL;
    due timestamptz := CASE WHEN NOT dies AND n ->> 'status' = 'published' THEN (n ->> 'published_at')::timestamptz END;
BEGIN
    IF is_user THEN -- people are seen by what they wrote; the feed finds them itself (crud_changes_seen.c)
        was := was AND EXISTS (SELECT 1 FROM posts p WHERE p.author_id = OLD.id AND moved_public(to_jsonb(p)));
    END IF;
    INSERT INTO moved (entity, row_id, at, uid, lost)
    SELECT v.entity, v.id, now(), v.uid, true FROM (VALUES
        (TG_ARGV[0], (o ->> 'id')::bigint, 0::bigint, was AND NOT stays AND NOT is_user),
        (TG_ARGV[0], (o ->> 'id')::bigint, old_owner, NOT dead AND NOT is_user AND (dies OR old_owner IS DISTINCT FROM new_owner)),
        ('user', old_owner, 0, was AND NOT is_user AND (NOT stays OR old_owner IS DISTINCT FROM new_owner)),
        ('media', (SELECT u.avatar_id FROM users u WHERE u.id = old_owner), 0,
            was AND NOT is_user AND (NOT stays OR old_owner IS DISTINCT FROM new_owner)),
        ('media', old_media, 0, was AND (NOT stays OR old_media IS DISTINCT FROM new_media)),
        ('media', old_media, old_owner,
            NOT dead AND (dies OR old_owner IS DISTINCT FROM new_owner OR old_media IS DISTINCT FROM new_media))
    ) AS v (entity, id, uid, lost) WHERE v.lost AND v.id IS NOT NULL AND v.uid IS NOT NULL
    ON CONFLICT DO NOTHING;
    IF due > now() THEN
        INSERT INTO moved (entity, row_id, at, uid, lost)
        SELECT v.entity, v.id, due, 0, false FROM (VALUES
            (TG_ARGV[0], (n ->> 'id')::bigint),
            ('user', new_owner),
            ('media', new_media),
            ('media', (SELECT u.avatar_id FROM users u WHERE u.id = new_owner))
        ) AS v (entity, id) WHERE v.id IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER moved_insert AFTER INSERT ON posts FOR EACH ROW WHEN (NEW.status = 'published' AND NEW.published_at > now())
    EXECUTE FUNCTION moved_note('post', 'author_id', 'featured_media_id');
CREATE TRIGGER moved_update AFTER UPDATE ON posts FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status OR OLD.published_at IS DISTINCT FROM NEW.published_at OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
    OR OLD.author_id IS DISTINCT FROM NEW.author_id OR OLD.featured_media_id IS DISTINCT FROM NEW.featured_media_id)
    EXECUTE FUNCTION moved_note('post', 'author_id', 'featured_media_id');
CREATE TRIGGER moved_delete AFTER DELETE ON posts FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('post', 'author_id', 'featured_media_id');

CREATE TRIGGER moved_insert AFTER INSERT ON pages FOR EACH ROW WHEN (NEW.status = 'published' AND NEW.published_at > now())
    EXECUTE FUNCTION moved_note('page', 'author_id', '');
CREATE TRIGGER moved_update AFTER UPDATE ON pages FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status OR OLD.published_at IS DISTINCT FROM NEW.published_at OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
    OR OLD.author_id IS DISTINCT FROM NEW.author_id)
    EXECUTE FUNCTION moved_note('page', 'author_id', '');
CREATE TRIGGER moved_delete AFTER DELETE ON pages FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('page', 'author_id', '');

CREATE TRIGGER moved_insert AFTER INSERT ON events FOR EACH ROW WHEN (NEW.status = 'published' AND NEW.published_at > now())
    EXECUTE FUNCTION moved_note('event', 'author_id', 'image_id');
CREATE TRIGGER moved_update AFTER UPDATE ON events FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status OR OLD.published_at IS DISTINCT FROM NEW.published_at OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
    OR OLD.author_id IS DISTINCT FROM NEW.author_id OR OLD.image_id IS DISTINCT FROM NEW.image_id)
    EXECUTE FUNCTION moved_note('event', 'author_id', 'image_id');
CREATE TRIGGER moved_delete AFTER DELETE ON events FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('event', 'author_id', 'image_id');

CREATE TRIGGER moved_update AFTER UPDATE ON experts FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.photo_id IS DISTINCT FROM NEW.photo_id)
    EXECUTE FUNCTION moved_note('expert', '', 'photo_id');
CREATE TRIGGER moved_delete AFTER DELETE ON experts FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('expert', '', 'photo_id');

CREATE TRIGGER moved_update AFTER UPDATE ON companies FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.logo_id IS DISTINCT FROM NEW.logo_id)
    EXECUTE FUNCTION moved_note('company', '', 'logo_id');
CREATE TRIGGER moved_delete AFTER DELETE ON companies FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('company', '', 'logo_id');

CREATE TRIGGER moved_update AFTER UPDATE ON users FOR EACH ROW WHEN (
    OLD.status IS DISTINCT FROM NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.avatar_id IS DISTINCT FROM NEW.avatar_id)
    EXECUTE FUNCTION moved_note('user', 'id', 'avatar_id');
CREATE TRIGGER moved_delete AFTER DELETE ON users FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('user', 'id', 'avatar_id');

CREATE TRIGGER moved_update AFTER UPDATE ON media FOR EACH ROW WHEN (
    OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.uploaded_by_id IS DISTINCT FROM NEW.uploaded_by_id)
    EXECUTE FUNCTION moved_note('media', 'uploaded_by_id', '');
CREATE TRIGGER moved_delete AFTER DELETE ON media FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
    EXECUTE FUNCTION moved_note('media', 'uploaded_by_id', '');
