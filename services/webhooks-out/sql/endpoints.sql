-- name: endpoint_id
SELECT nextval(pg_get_serial_sequence('endpoints', 'id'))

-- name: endpoint_add write
INSERT INTO endpoints (id, user_id, url, events, description, max_in_flight, status, secret, role, admin)
VALUES ($1::bigint, $2::bigint, $3::text, $4::text[], $5::text, $6::int, $7::text, $8::text, $9::text, $10::boolean)
RETURNING json_build_object('id', id, 'user', json_build_object('id', user_id), 'url', url, 'events', events,
    'description', description, 'max_in_flight', max_in_flight, 'status', status, 'version', version,
    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))

-- name: endpoint_lock
SELECT id, user_id, version, status FROM endpoints WHERE id = $1::bigint AND deleted_at IS NULL
    AND ($2::boolean OR user_id = $3::bigint) FOR UPDATE

-- name: endpoint_change write
UPDATE endpoints SET
    url = CASE WHEN $2::boolean THEN $3::text ELSE url END,
    events = CASE WHEN $4::boolean THEN $5::text[] ELSE events END,
    description = CASE WHEN $6::boolean THEN $7::text ELSE description END,
    max_in_flight = CASE WHEN $8::boolean THEN $9::int ELSE max_in_flight END,
    status = CASE WHEN $10::boolean THEN $11::text ELSE status END,
    version = version + 1, updated_at = now()
WHERE id = $1::bigint
RETURNING json_build_object('id', id, 'user', json_build_object('id', user_id), 'url', url, 'events', events,
    'description', description, 'max_in_flight', max_in_flight, 'status', status, 'version', version,
    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))

-- name: endpoint_pause write
UPDATE endpoints SET status = 'paused', version = version + 1, updated_at = now()
WHERE id = $1::bigint AND status = 'active' AND deleted_at IS NULL
RETURNING json_build_object('id', id, 'user', json_build_object('id', user_id), 'url', url, 'events', events,
    'description', description, 'max_in_flight', max_in_flight, 'status', status, 'version', version,
    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))

-- The row stays for its log, the secret does not.
-- name: endpoint_remove write
UPDATE endpoints SET deleted_at = now(), secret = NULL, status = 'paused', version = version + 1, updated_at = now()
WHERE id = $1::bigint AND deleted_at IS NULL
RETURNING json_build_object('id', id, 'user', json_build_object('id', user_id), 'url', url, 'events', events,
    'description', description, 'max_in_flight', max_in_flight, 'status', status, 'version', version,
    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))

-- What was still to go has nowhere to go.
-- name: endpoint_cancel write
UPDATE deliveries SET status = 'canceled', next_attempt_at = NULL, last_error = 'The endpoint was deleted.', updated_at = now()
WHERE endpoint_id = $1::bigint AND status IN ('pending', 'failed')

-- Those of this dispatcher's shards.
-- name: endpoints_mine
SELECT id, url, secret, max_in_flight, status = 'active', version FROM endpoints
WHERE id % $1::int = ANY ($2::bigint[]) AND deleted_at IS NULL

-- Who listens to one of the patterns, and what they may see.
-- name: endpoints_listening
SELECT e.id, e.user_id, coalesce(p.role, e.role), e.admin FROM endpoints e LEFT JOIN people p ON p.user_id = e.user_id
WHERE e.events && $1::text[] AND e.deleted_at IS NULL AND coalesce(p.active, true)
