-- One source at a time: what is stored and what pauses or replays it do not cross.
-- name: messages_lock
SELECT pg_advisory_xact_lock($1::int, k::int) FROM (SELECT DISTINCT s % 2147483647 AS k FROM unnest($2::bigint[]) AS t(s) ORDER BY 1) x

-- What was not here before by its own id.  A source that is gone meanwhile leaves a message that says so.
-- name: messages_add write
INSERT INTO messages (id, source_id, user_id, provider, event, dedupe_key, status, error, next_attempt_at, method, content_type,
    address, size_bytes, query, headers, body, body_base64, trace, request_id, retention_days, created_at, order_key)
SELECT i.id, i.source_id, i.user_id, i.meta ->> 'provider', i.meta ->> 'event', i.dedupe_key,
    CASE WHEN s.id IS NULL THEN 'dead' WHEN s.status = 'paused' THEN 'held' ELSE 'accepted' END,
    CASE WHEN s.id IS NULL THEN 'The source was deleted.' END,
    CASE WHEN s.status = 'active' THEN now() END,
    i.meta ->> 'method', i.meta ->> 'content_type', i.meta ->> 'address', (i.meta ->> 'size')::int, i.meta ->> 'query',
    i.meta -> 'headers', i.body, (i.meta ->> 'base64')::boolean, i.trace, i.request_id, (i.meta ->> 'retention_days')::int,
    i.created_at, i.meta ->> 'order'
FROM (SELECT DISTINCT ON (t.source_id, t.dedupe_key) t.*
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::text[], $8::text[], $9::text[])
        WITH ORDINALITY AS t(id, source_id, user_id, dedupe_key, created_at, meta, body, trace, request_id, n)
    ORDER BY t.source_id, t.dedupe_key, t.n) i
LEFT JOIN sources s ON s.id = i.source_id
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.source_id = i.source_id AND m.dedupe_key = i.dedupe_key)
ORDER BY i.n
ON CONFLICT DO NOTHING

-- Takes what is due for twenty seconds (messages_keep makes that more), and longer each time nobody came to its end; who takes
-- it is told by run and attempts.  What has an order waits until those of its
-- key that came before are through.  Fifty, as many as `claim_max`: a statement of so many partitions is planned once only if
-- it has no parameters.
-- name: messages_claim write
WITH due AS (
    SELECT id, retention_days, created_at FROM messages m
    WHERE status IN ('accepted', 'working') AND next_attempt_at <= now()
        AND (order_key IS NULL OR NOT EXISTS (SELECT 1 FROM messages e WHERE e.source_id = m.source_id
            AND e.order_key = m.order_key AND e.seq < m.seq AND e.status IN ('accepted', 'held', 'working', 'failed')))
    ORDER BY next_attempt_at, seq LIMIT 50 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE messages m SET status = 'working', attempts = m.attempts + 1, next_attempt_at = now() + least(m.attempts + 1, 6) * interval '20 s',
        updated_at = now()
    FROM due WHERE m.id = due.id AND m.retention_days = due.retention_days AND m.created_at = due.created_at
    RETURNING m.*
)
SELECT t.id, t.source_id, t.run, t.attempts, t.event, t.dedupe_key, t.content_type, t.query, t.headers::text, t.body,
    t.body_base64, to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), s.mapping::text, s.mapping_version, s.user_id,
    array_to_json(s.scopes)::text, t.trace, t.request_id, s.id IS NOT NULL, t.retention_days
FROM taken t LEFT JOIN sources s ON s.id = t.source_id ORDER BY t.seq

-- Still at work on them.
-- name: messages_keep write
UPDATE messages m SET next_attempt_at = now() + least(m.attempts, 6) * interval '20 s'
FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::int[], $5::int[]) AS t(id, retention_days, created_at, run, attempts)
WHERE m.id = t.id AND m.retention_days = t.retention_days AND m.created_at = t.created_at AND m.run = t.run
    AND m.attempts = t.attempts AND m.status = 'working'

-- What their mappings say of those that are still ours: a replay or a deleted source came first to the others.  One that
-- cannot be said yet (seconds in the last) is claimed again.  A message is found by all of its key, which names its partition.
-- name: messages_mapped write
UPDATE messages m SET status = t.status, error = t.error, results = t.results, mapping_version = coalesce(t.version, m.mapping_version),
    next_attempt_at = now() + make_interval(secs => nullif(t.later_s, -1)), updated_at = now()
FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::int[], $5::int[], $6::text[], $7::text[], $8::jsonb[], $9::int[], $10::int[])
    AS t(id, retention_days, created_at, run, attempts, status, error, results, version, later_s)
WHERE m.id = t.id AND m.retention_days = t.retention_days AND m.created_at = t.created_at AND m.run = t.run
    AND m.attempts = t.attempts AND m.status = 'working'
RETURNING m.id

-- What an emit told is shown with the message.
-- name: message_data write
UPDATE messages SET data = $4::jsonb WHERE id = $1::uuid AND retention_days = $2::int AND created_at = $3::timestamptz

-- What the run before did by the same command is done.
-- name: action_add write
INSERT INTO actions (message_id, run, no, kind, entity, key, command, status, retention_days, created_at, retry_max, retry_base_ms,
    attempts, result_id)
SELECT m.id, m.run, $4::int, $5::text, $6::text, $7::text, $8::text, CASE WHEN p.id IS NULL THEN 'waiting' ELSE 'done' END,
    m.retention_days, m.created_at, nullif($9::int, -1), nullif($10::int, -1), coalesce(p.attempts, 0), p.result_id
FROM messages m LEFT JOIN actions p ON m.resume AND p.message_id = m.id AND p.run = m.run - 1 AND p.no = $4::int
    AND p.status = 'done' AND p.command = $8::text AND p.retention_days = $2::int AND p.created_at = $3::timestamptz
WHERE m.id = $1::uuid AND m.retention_days = $2::int AND m.created_at = $3::timestamptz

-- The first that waits, if nothing of its run is under way.
-- name: action_next write
UPDATE actions SET status = 'sent', attempts = attempts + 1, next_attempt_at = NULL, updated_at = now()
WHERE message_id = $1::uuid AND retention_days = $2::int AND created_at = $3::timestamptz AND run = $4::int AND no = (
    SELECT min(no) FROM actions WHERE message_id = $1::uuid AND retention_days = $2::int AND created_at = $3::timestamptz
        AND run = $4::int AND status = 'waiting')
    AND NOT EXISTS (SELECT 1 FROM actions WHERE message_id = $1::uuid AND retention_days = $2::int
        AND created_at = $3::timestamptz AND run = $4::int AND status = 'sent')
RETURNING id, run, command, entity, key, kind

-- Those whose retry is due, with their messages; fifty, for the same reason.
-- name: actions_due
SELECT a.message_id, a.run, m.source_id, m.user_id, m.trace, m.request_id, m.retention_days,
    to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM actions a JOIN messages m ON m.id = a.message_id AND m.retention_days = a.retention_days AND m.created_at = a.created_at
    AND m.run = a.run
WHERE a.status = 'waiting' AND a.next_attempt_at <= now()
ORDER BY a.next_attempt_at LIMIT 50 FOR UPDATE OF a SKIP LOCKED

-- name: action_sent
SELECT a.message_id, a.run, a.attempts, m.run, m.trace, m.request_id, coalesce(a.retry_max, -1), coalesce(a.retry_base_ms, -1),
    m.source_id, m.user_id, m.retention_days, to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM actions a JOIN messages m ON m.id = a.message_id AND m.retention_days = a.retention_days AND m.created_at = a.created_at
WHERE a.id = $1::bigint AND a.status = 'sent' FOR UPDATE OF a

-- name: action_done write
UPDATE actions SET status = 'done', result_id = $2::bigint, error = NULL, updated_at = now() WHERE id = $1::bigint

-- name: action_later write
UPDATE actions SET status = 'waiting', error = $2::text, next_attempt_at = now() + make_interval(secs => $3::float8), updated_at = now()
WHERE id = $1::bigint

-- name: action_dead write
UPDATE actions SET status = 'dead', error = CASE WHEN id = $5::bigint THEN $6::text ELSE 'An earlier action failed.' END,
    next_attempt_at = NULL, updated_at = now()
WHERE message_id = $1::uuid AND retention_days = $2::int AND created_at = $3::timestamptz AND run = $4::int
    AND status IN ('sent', 'waiting')

-- name: message_state write
UPDATE messages SET status = $5::text, error = $6::text, updated_at = now(),
    next_attempt_at = CASE WHEN $5::text = 'failed' THEN now() + make_interval(secs => $7::float8) END
WHERE id = $1::uuid AND retention_days = $2::int AND created_at = $3::timestamptz AND run = $4::int

-- name: message_json
SELECT json_build_object('id', id, 'source', json_build_object('id', source_id), 'user', json_build_object('id', user_id),
    'provider', provider, 'event', event, 'dedupe_key', dedupe_key, 'status', status, 'attempts', attempts, 'error', error,
    'mapping_version', mapping_version, 'method', method, 'content_type', content_type, 'address', address,
    'size_bytes', size_bytes, 'data', coalesce($4::jsonb, data), 'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), user_id
FROM messages WHERE id = $1::uuid AND retention_days = $2::int AND created_at = $3::timestamptz

-- name: message_read
SELECT id, source_id, query, headers::text, body, body_base64, results::text, content_type, event, dedupe_key,
    to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), run
FROM messages WHERE id = $1::uuid AND ($2::boolean OR user_id = $3::bigint)

-- name: message_actions
SELECT no, kind, entity, key, status, attempts, result_id, error, next_attempt_at FROM actions
WHERE message_id = $1::uuid AND run = $2::int ORDER BY no LIMIT 2000

-- Once more from the start, by the mapping as it is now.
-- name: message_again write
UPDATE messages m SET status = CASE WHEN s.status = 'paused' THEN 'held' ELSE 'accepted' END, run = run + 1, error = NULL,
    resume = m.status IN ('dead', 'failed'), next_attempt_at = CASE WHEN s.status = 'active' THEN now() END, updated_at = now()
FROM sources s WHERE m.id = $1::uuid AND s.id = m.source_id AND m.status IN ('done', 'ignored', 'dead', 'failed')
    AND ($2::boolean OR m.user_id = $3::bigint)
RETURNING m.id

-- As many at a time as `again_step_rows`; they are worked on in the order in which they came whatever order this is in.
-- name: messages_again write
UPDATE messages m SET status = CASE WHEN s.status = 'paused' THEN 'held' ELSE 'accepted' END, run = run + 1, error = NULL,
    resume = m.status IN ('dead', 'failed'), next_attempt_at = CASE WHEN s.status = 'active' THEN now() END, updated_at = now()
FROM sources s, (SELECT id, retention_days, created_at FROM messages WHERE source_id = $1::bigint AND status = $2::text
    AND created_at >= coalesce($3::timestamptz, '-infinity') AND created_at < coalesce($4::timestamptz, 'infinity')
    LIMIT 5000 FOR UPDATE) o
WHERE s.id = $1::bigint AND m.id = o.id AND m.retention_days = o.retention_days AND m.created_at = o.created_at

-- name: messages_again_count
SELECT count(*) FROM messages m WHERE m.source_id = $1::bigint AND m.status = $2::text
    AND m.created_at >= coalesce($3::timestamptz, '-infinity') AND m.created_at < coalesce($4::timestamptz, 'infinity')

-- name: source_mapping
SELECT mapping::text, mapping_version, slug FROM sources WHERE id = $1::bigint AND ($2::boolean OR user_id = $3::bigint)
