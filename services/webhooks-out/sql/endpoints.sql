-- name: endpoint_id
SELECT nextval(pg_get_serial_sequence('endpoints', 'id'))

-- The writable columns of a row, from a JSON object; what it leaves out stays.
-- name: endpoint_add write
INSERT INTO endpoints (id, user_id, role, admin, auth_sealed, url, events, filter, fields, payload, format, description, headers,
    auth, rate_limit, max_in_flight, ordered, order_timeout_s, batch, retry_schedule, while_paused, ed25519, status)
SELECT $1::bigint, $2::bigint, $3::text, $4::boolean, $5::text, r.url, r.events, r.filter, r.fields, r.payload, r.format,
    r.description, r.headers, r.auth, r.rate_limit, r.max_in_flight, r.ordered, r.order_timeout_s, r.batch, r.retry_schedule,
    r.while_paused, r.ed25519, r.status
FROM jsonb_populate_record(NULL::endpoints, $6::jsonb) r

-- An address or form that changed has to be agreed to again; a row made active starts with a clean record.
-- name: endpoint_change write
UPDATE endpoints e SET auth_sealed = CASE WHEN $3::boolean THEN $4::text ELSE e.auth_sealed END,
    url = r.url, events = r.events, filter = r.filter, fields = r.fields, payload = r.payload, format = r.format,
    description = r.description, headers = r.headers, auth = r.auth, rate_limit = r.rate_limit,
    max_in_flight = r.max_in_flight, ordered = r.ordered, order_timeout_s = r.order_timeout_s, batch = r.batch,
    retry_schedule = r.retry_schedule, while_paused = r.while_paused, ed25519 = r.ed25519, status = r.status,
    disabled_at = CASE WHEN r.status = 'disabled' THEN e.disabled_at END,
    disabled_reason = CASE WHEN r.status = 'disabled' THEN e.disabled_reason END,
    failing_since = CASE WHEN r.status = e.status THEN e.failing_since END,
    failure_percent = CASE WHEN r.status = e.status THEN e.failure_percent ELSE 0 END,
    allowed_at = CASE WHEN r.url = e.url AND r.format = e.format THEN e.allowed_at END,
    allowed_rate = CASE WHEN r.url = e.url AND r.format = e.format THEN e.allowed_rate END,
    version = e.version + 1, updated_at = now()
FROM endpoints o, jsonb_populate_record(o, $2::jsonb) r
WHERE o.id = $1::bigint AND e.id = o.id

-- name: endpoint_lock
SELECT id, user_id, version, status FROM endpoints WHERE id = $1::bigint AND deleted_at IS NULL
    AND ($2::boolean OR user_id = $3::bigint) FOR UPDATE

-- name: endpoint_tell
SELECT endpoint_json(e) FROM endpoints e WHERE e.id = $1::bigint

-- name: endpoint_state write
UPDATE endpoints SET status = $2::text, disabled_at = NULL, disabled_reason = NULL,
    failing_since = CASE WHEN status = $2::text THEN failing_since END,
    failure_percent = CASE WHEN status = $2::text THEN failure_percent ELSE 0 END,
    version = version + 1, updated_at = now()
WHERE id = $1::bigint AND status <> $2::text

-- name: endpoint_touch write
UPDATE endpoints SET version = version + 1, updated_at = now() WHERE id = $1::bigint

-- What is still to go, and what was missed; all by the indexes of what is not delivered.
-- name: endpoint_missed
SELECT (SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status IN ('pending', 'failed') AND event <> 'batch'),
    (SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'skipped'),
    (SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'dead' AND event <> 'batch' AND trigger <> 'test')

-- name: endpoint_disable write
UPDATE endpoints SET status = 'disabled', disabled_at = now(), disabled_reason = $2::text, version = version + 1, updated_at = now()
WHERE id = $1::bigint AND status = 'active' AND deleted_at IS NULL
RETURNING endpoint_json(endpoints)

-- The record of failures: when the first came, and how much of the budget was told of.
-- name: endpoint_failing write
UPDATE endpoints SET failing_since = to_timestamp($2::bigint / 1000000.0), failure_percent = $3::int
WHERE id = $1::bigint AND deleted_at IS NULL
RETURNING endpoint_json(endpoints)

-- name: endpoint_allowed write
UPDATE endpoints SET allowed_at = now(), allowed_rate = nullif($2::bigint, 0)::int WHERE id = $1::bigint AND version = $3::bigint

-- The row stays for its log, the secrets do not.
-- name: endpoint_remove write
UPDATE endpoints SET deleted_at = now(), auth_sealed = NULL, headers = '{}', status = 'paused', version = version + 1,
    updated_at = now()
WHERE id = $1::bigint AND deleted_at IS NULL

-- What was still to go has nowhere to go; as many at a time as `cancel_rows`.
-- name: endpoint_cancel write
WITH open AS (
    (SELECT id FROM deliveries WHERE endpoint_id = $1::bigint AND status IN ('pending', 'failed') LIMIT 5000)
    UNION ALL (SELECT id FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'batched' LIMIT 5000)
    LIMIT 5000
)
UPDATE deliveries d SET status = 'canceled', next_attempt_at = NULL, last_error = 'The endpoint was deleted.', updated_at = now()
FROM open WHERE d.id = open.id AND d.status IN ('pending', 'failed', 'batched')

-- Those of this dispatcher's shards.
-- name: endpoints_mine
SELECT id, version FROM endpoints WHERE id % $1::int = ANY ($2::bigint[]) AND deleted_at IS NULL

-- How they are talked to.
-- name: endpoints_sending
SELECT e.id, e.version, e.status = 'active', e.user_id, e.url, e.format, e.headers, e.auth_sealed, e.rate_limit, e.max_in_flight,
    e.ordered, coalesce(e.order_timeout_s, 0), (e.batch->>'max_events')::bigint, (e.batch->>'max_wait_ms')::bigint, e.retry_schedule,
    e.allowed_at IS NOT NULL, coalesce(e.allowed_rate, 0),
    coalesce((extract(epoch FROM e.failing_since) * 1000000)::bigint, 0), e.failure_percent
FROM endpoints e WHERE e.id = ANY ($1::bigint[]) AND e.deleted_at IS NULL ORDER BY e.id

-- Which of the types that have these patterns anybody listens to.
-- name: types_wanted
SELECT DISTINCT k.type FROM unnest($1::bigint[], $2::text[]) k(type, pattern)
WHERE EXISTS (SELECT FROM endpoints e WHERE e.events && ARRAY[k.pattern] AND e.deleted_at IS NULL)

-- Who listens to one of the patterns, and what they may see.
-- name: endpoints_listening
SELECT e.id, e.user_id, coalesce(p.role, e.role), e.admin, e.filter, array_to_json(e.fields), e.payload, e.format,
    e.status <> 'active' AND e.while_paused = 'skip', e.batch IS NOT NULL
FROM endpoints e LEFT JOIN people p ON p.user_id = e.user_id
WHERE e.events && $1::text[] AND e.deleted_at IS NULL AND coalesce(p.active, true)

-- What its owner may see.
-- name: endpoint_owner
SELECT e.id, e.user_id, coalesce(p.role, e.role), e.admin FROM endpoints e LEFT JOIN people p ON p.user_id = e.user_id
WHERE e.id = $1::bigint
