-- Events to their endpoints, in the events' order; each row has one of the sights.
-- name: deliveries_add write
INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, trace, request_id, body, next_attempt_at)
SELECT t.id, t.endpoint_id, t.user_id, s.event_id, s.event, s.entity, s.event_at, s.trace, s.request_id, s.body, now()
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS t(id, endpoint_id, user_id, sight, no)
JOIN unnest($5::uuid[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::text[], $11::text[]) WITH ORDINALITY
    AS s(event_id, event, entity, event_at, trace, request_id, body, no) ON s.no = t.sight
ORDER BY t.no

-- What is due at endpoints that take several at a time, for each at most the room it has.
-- name: deliveries_due
SELECT d.id, w.endpoint_id, d.event_id, d.entity, d.attempts, d.attempts_before, d.body, d.trace, d.request_id,
    (extract(epoch FROM d.event_at) * 1000000)::bigint, d.trigger, true, d.seq, d.event, d.user_id
FROM unnest($1::bigint[], $2::bigint[]) AS w(endpoint_id, room)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries o WHERE o.endpoint_id = w.endpoint_id AND o.status IN ('pending', 'failed')
        AND o.next_attempt_at <= now() AND o.id <> ALL ($3::uuid[])
    ORDER BY o.next_attempt_at, o.seq LIMIT w.room) d

-- At an endpoint that takes one at a time: in order, with those that wait, which hold what follows of their key.
-- name: deliveries_ordered
SELECT d.id, d.endpoint_id, d.event_id, d.entity, d.attempts, d.attempts_before,
    CASE WHEN d.next_attempt_at <= now() THEN d.body END, d.trace, d.request_id,
    (extract(epoch FROM d.event_at) * 1000000)::bigint, d.trigger, d.next_attempt_at <= now(), d.seq, d.event, d.user_id
FROM deliveries d WHERE d.endpoint_id = $1::bigint AND d.status IN ('pending', 'failed') AND d.seq > $2::bigint
ORDER BY d.seq LIMIT $3::bigint

-- The attempts that ended, all at once.  An attempt that was written before changes nothing; one that was under way when its
-- delivery was canceled is in the log, and is the last.
-- name: attempts_add write
WITH r AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::bigint[]) AS t(id, status, n, code, latency_ms, error, reply, address, wait_ms)
), done AS (
    UPDATE deliveries d SET attempts = r.n, response_code = nullif(r.code, 0)::int, latency_ms = r.latency_ms, updated_at = now(),
        status = CASE WHEN d.status = 'canceled' AND r.status <> 'delivered' THEN d.status ELSE r.status END,
        last_error = CASE WHEN d.status = 'canceled' AND r.status <> 'delivered' THEN d.last_error ELSE nullif(r.error, '') END,
        next_attempt_at = CASE WHEN r.status = 'failed' AND d.status <> 'canceled' THEN now() + r.wait_ms * interval '1 ms' END
    FROM r WHERE d.id = r.id AND d.attempts = r.n - 1 AND d.status IN ('pending', 'failed', 'canceled')
    RETURNING d.id, d.trigger
)
INSERT INTO attempts (delivery_id, attempt, outcome, response_code, latency_ms, error, response_body, address, trigger)
SELECT r.id, r.n, r.status, nullif(r.code, 0)::int, r.latency_ms, nullif(r.error, ''), nullif(r.reply, ''),
    nullif(r.address, ''), done.trigger
FROM r JOIN done ON done.id = r.id
RETURNING delivery_id

-- name: delivery_lock
SELECT d.id, d.status, e.status FROM deliveries d LEFT JOIN endpoints e ON e.id = d.endpoint_id AND e.deleted_at IS NULL
WHERE d.id = $1::uuid AND ($2::boolean OR d.user_id = $3::bigint) FOR UPDATE OF d

-- name: delivery_again write
UPDATE deliveries SET status = 'pending', trigger = 'resend', attempts_before = attempts, next_attempt_at = now(),
    updated_at = now() WHERE id = $1::uuid
RETURNING endpoint_id

-- name: delivery_attempts
SELECT a.id, a.attempt, a.outcome, a.response_code, a.latency_ms, a.error, a.response_body, a.created_at
FROM deliveries d JOIN attempts a ON a.delivery_id = d.id
WHERE d.id = $1::uuid AND ($2::boolean OR d.user_id = $3::bigint) ORDER BY a.attempt, a.id LIMIT 100

-- name: delivery_there
SELECT 1 FROM deliveries WHERE id = $1::uuid AND ($2::boolean OR user_id = $3::bigint)

-- The weeks to come.
-- name: deliveries_weeks write
SELECT count(*) FILTER (WHERE deliveries_ensure((date_trunc('week', now() AT TIME ZONE 'UTC') + w * interval '7 days')::date))
FROM generate_series(1, 3) w

-- name: deliveries_expire write
SELECT deliveries_expire(current_date - $1::int)

-- What a dropped week left behind, once its time is over too.
-- name: deliveries_drop write
WITH old AS (
    SELECT id FROM deliveries_rest WHERE status IN ('delivered', 'dead', 'canceled')
        AND updated_at < now() - make_interval(days => $1::int)
    ORDER BY updated_at LIMIT $2::int
), gone AS (DELETE FROM attempts_rest a USING old WHERE a.delivery_id = old.id)
DELETE FROM deliveries_rest d USING old WHERE d.id = old.id

-- Written by a fan-out that had begun before its endpoint was deleted.
-- name: deliveries_orphaned write
UPDATE deliveries SET status = 'canceled', next_attempt_at = NULL, last_error = 'The endpoint was deleted.', updated_at = now()
WHERE status IN ('pending', 'failed') AND endpoint_id IN (SELECT id FROM endpoints WHERE deleted_at > now() - interval '1 hour')

-- Which of these endpoints have something due.
-- name: deliveries_any
SELECT w.id FROM unnest($1::bigint[]) AS w(id) WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_id = w.id
    AND d.status IN ('pending', 'failed') AND d.next_attempt_at <= now())
