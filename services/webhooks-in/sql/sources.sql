-- What a request to /hooks/{slug} needs to be judged.
-- name: source_find fast
SELECT id, user_id, provider, status, settings::text, secret, previous, previous_until > now(), allowed_networks, dedupe,
    rate_limit, retention_days, order_by FROM sources WHERE slug = $1::text

-- Has it been here?
-- name: message_seen fast
SELECT id FROM messages WHERE source_id = $1::bigint AND dedupe_key = $2::text LIMIT 1

-- name: source_id
SELECT nextval(pg_get_serial_sequence('sources', 'id'))

-- name: slug_taken
SELECT 1 FROM sources WHERE slug = $1::text

-- name: source_add write
INSERT INTO sources (id, user_id, name, slug, provider, status, reason, settings, secret, allowed_networks, dedupe, rate_limit,
    retention_days, mapping, mapping_version, scopes, verification, order_by)
VALUES ($1::bigint, $2::bigint, $3::text, $4::text, $5::text, $6::text, $7::text, $8::jsonb, $9::text, $10::text[], $11::text,
    $12::int, $13::int, $14::jsonb, CASE WHEN $14::jsonb = '{}' THEN 0 ELSE 1 END, $15::text[],
    $16::text, $17::text)

-- name: mapping_add write
INSERT INTO mappings (source_id, version, mapping, user_id)
SELECT id, mapping_version, mapping, $2::bigint FROM sources WHERE id = $1::bigint AND mapping_version > 0
ON CONFLICT DO NOTHING

-- name: mapping_list
SELECT version, mapping::text, user_id, created_at FROM mappings WHERE source_id = $1::bigint ORDER BY version DESC LIMIT 100

-- name: mapping_version
SELECT version, mapping::text, user_id, created_at FROM mappings WHERE source_id = $1::bigint AND version = $2::int

-- name: source_json
SELECT json_build_object('id', id, 'user', json_build_object('id', user_id), 'name', name, 'slug', slug, 'provider', provider,
    'path', path, 'status', status, 'verification', verification, 'reason', reason, 'settings', settings,
    'previous_until', to_char(previous_until, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'allowed_networks', allowed_networks, 'dedupe', dedupe, 'order_by', order_by, 'rate_limit', rate_limit, 'retention_days', retention_days,
    'mapping', mapping, 'mapping_version', mapping_version, 'version', version,
    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
FROM sources WHERE id = $1::bigint

-- name: source_lock
SELECT id, user_id, version, status, provider, secret, mapping::text, slug FROM sources
WHERE id = $1::bigint AND ($2::boolean OR user_id = $3::bigint) FOR UPDATE

-- name: source_change write
UPDATE sources SET
    name = CASE WHEN $2::boolean THEN $3::text ELSE name END,
    status = CASE WHEN $4::boolean THEN $5::text ELSE status END,
    reason = CASE WHEN $6::boolean THEN $7::text ELSE reason END,
    settings = CASE WHEN $8::boolean THEN $9::jsonb ELSE settings END,
    allowed_networks = CASE WHEN $10::boolean THEN $11::text[] ELSE allowed_networks END,
    dedupe = CASE WHEN $12::boolean THEN $13::text ELSE dedupe END,
    rate_limit = CASE WHEN $14::boolean THEN $15::int ELSE rate_limit END,
    retention_days = CASE WHEN $16::boolean THEN $17::int ELSE retention_days END,
    mapping_version = mapping_version + CASE WHEN $18::boolean AND $19::jsonb <> mapping THEN 1 ELSE 0 END,
    mapping = CASE WHEN $18::boolean THEN $19::jsonb ELSE mapping END,
    scopes = CASE WHEN $18::boolean THEN $22::text[] ELSE scopes END,
    order_by = CASE WHEN $20::boolean THEN $21::text ELSE order_by END,
    version = version + 1, updated_at = now()
WHERE id = $1::bigint

-- name: source_rotate write
UPDATE sources SET previous = CASE WHEN $3::int > 0 THEN secret END,
    previous_until = CASE WHEN $3::int > 0 AND secret IS NOT NULL THEN now() + make_interval(secs => $3::int) END,
    secret = $2::text, version = version + 1, updated_at = now()
WHERE id = $1::bigint

-- name: source_remove write
DELETE FROM sources WHERE id = $1::bigint

-- A paused source holds what it takes; what was under way is left to end.  This and the next two do as many at a time as
-- `step_rows`, in order.
-- name: messages_hold write
UPDATE messages m SET status = 'held', next_attempt_at = NULL, updated_at = now()
FROM (SELECT id, retention_days, created_at FROM messages WHERE source_id = $1::bigint AND status IN ('accepted', 'failed')
    ORDER BY seq LIMIT 5000 FOR UPDATE) o
WHERE m.id = o.id AND m.retention_days = o.retention_days AND m.created_at = o.created_at

-- name: messages_release write
UPDATE messages m SET status = 'accepted', next_attempt_at = now(), updated_at = now()
FROM (SELECT id, retention_days, created_at FROM messages WHERE source_id = $1::bigint AND status = 'held'
    ORDER BY seq LIMIT 5000 FOR UPDATE) o
WHERE m.id = o.id AND m.retention_days = o.retention_days AND m.created_at = o.created_at

-- What is left of a source that is gone is not worked on.
-- name: messages_orphan write
UPDATE messages m SET status = 'dead', next_attempt_at = NULL, error = 'The source was deleted.', updated_at = now()
FROM (SELECT id, retention_days, created_at FROM messages WHERE source_id = $1::bigint
    AND status IN ('accepted', 'held', 'failed', 'working') ORDER BY seq LIMIT 5000 FOR UPDATE) o
WHERE m.id = o.id AND m.retention_days = o.retention_days AND m.created_at = o.created_at

-- By the actions that are open, of all sources: they are fewer than the messages that a source ever had.
-- name: actions_orphan write
UPDATE actions a SET status = 'dead', next_attempt_at = NULL, error = 'The source was deleted.', updated_at = now()
FROM messages m WHERE m.id = a.message_id AND m.retention_days = a.retention_days AND m.created_at = a.created_at
    AND m.source_id = $1::bigint AND a.status IN ('waiting', 'sent')

-- name: partitions_keep
SELECT keep_partitions(current_date)
