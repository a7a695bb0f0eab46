-- Events to their endpoints, in the events' order; each row has one of the sights.
-- name: deliveries_add write
INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, trace, request_id, body, status, last_error,
    next_attempt_at)
SELECT t.id, t.endpoint_id, t.user_id, s.event_id, s.event, s.entity, s.event_at, s.trace, s.request_id, s.body, t.status, t.error,
    CASE WHEN t.status = 'pending' THEN now() END
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) WITH ORDINALITY
    AS t(id, endpoint_id, user_id, sight, status, error, no)
JOIN unnest($7::uuid[], $8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::text[], $13::text[]) WITH ORDINALITY
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

-- At an endpoint that keeps order: with those that wait, which hold what follows of their entity unless that took too long.
-- name: deliveries_ordered
SELECT d.id, d.endpoint_id, d.event_id, d.entity, d.attempts, d.attempts_before,
    CASE WHEN d.next_attempt_at <= now() THEN d.body END, d.trace, d.request_id,
    (extract(epoch FROM d.event_at) * 1000000)::bigint, d.trigger, d.next_attempt_at <= now(), d.seq, d.event, d.user_id,
    $4::bigint > 0 AND coalesce(d.first_attempt_at < now() - $4::bigint * interval '1 ms', false)
FROM deliveries d WHERE d.endpoint_id = $1::bigint AND d.status IN ('pending', 'failed') AND d.seq > $2::bigint
ORDER BY d.seq LIMIT $3::bigint

-- Batches that are due at an endpoint that takes its events in batches.
-- name: batches_due
SELECT d.id, d.endpoint_id, d.event_id, d.entity, d.attempts, d.attempts_before, d.body, d.trace, d.request_id,
    (extract(epoch FROM d.event_at) * 1000000)::bigint, d.trigger, true, d.seq, d.event, d.user_id
FROM deliveries d WHERE d.endpoint_id = $1::bigint AND d.status IN ('pending', 'failed') AND d.event = 'batch'
    AND d.next_attempt_at <= now() AND d.id <> ALL ($2::uuid[])
ORDER BY d.next_attempt_at, d.seq LIMIT $3::bigint

-- The first events that wait, as one, if they are enough, too long for one more, or the first has waited long enough; at an
-- ordered endpoint only if no batch is on its way that still has to be waited for.  How many, and else in how many ms to ask
-- again.
-- name: batch_make write
WITH due AS (
    SELECT id, seq, body, event_at, next_attempt_at FROM deliveries
    WHERE endpoint_id = $1::bigint AND status IN ('pending', 'failed') AND event <> 'batch' AND next_attempt_at <= now()
        AND NOT ($9::boolean AND EXISTS (
            SELECT 1 FROM deliveries b WHERE b.endpoint_id = $1::bigint AND b.status IN ('pending', 'failed') AND b.event = 'batch'
                AND NOT ($10::bigint > 0 AND coalesce(b.first_attempt_at < now() - $10::bigint * interval '1 ms', false))))
    ORDER BY seq LIMIT $2::bigint
), sized AS (
    SELECT *, sum(octet_length(body) + 1) OVER (ORDER BY seq) AS bytes, row_number() OVER (ORDER BY seq) AS no FROM due
), taken AS (
    SELECT * FROM sized WHERE bytes <= $4::bigint OR no = 1
), ready AS (
    SELECT count(*) AS n, min(next_attempt_at) AS first, (SELECT count(*) FROM due) AS waiting FROM taken
), made AS (
    INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, body, next_attempt_at)
    SELECT $5::uuid, $1::bigint, $6::bigint, $5::uuid, 'batch', 'batch:' || $5::text, min(event_at),
        $7::text || string_agg(body, ',' ORDER BY seq) || $8::text, now()
    FROM taken HAVING (SELECT n >= $2::bigint OR n < waiting OR first <= now() - $3::bigint * interval '1 ms' FROM ready)
        AND count(*) > 0
    RETURNING id
), moved AS (
    UPDATE deliveries d SET status = 'batched', batch_id = made.id, next_attempt_at = NULL, updated_at = now()
    FROM taken, made WHERE d.id = taken.id
    RETURNING d.id
)
SELECT (SELECT count(*) FROM moved),
    (SELECT greatest(0, extract(epoch FROM first - now()) * 1000 + $3::bigint)::bigint + 1 FROM ready WHERE n > 0)

-- The attempts that ended, all at once; a number below zero is that of a probe.  An attempt that was written before changes
-- nothing; one that was under way when its delivery was canceled is in the log, and is the last.
-- name: attempts_add write
WITH r AS (
    SELECT t.*, abs(t.no) AS n FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[])
        AS t(id, status, error, reply, address, url, sent, reply_headers, no, code, latency_ms, wait_ms, dns_ms, connect_ms, tls_ms,
        first_byte_ms)
), done AS (
    UPDATE deliveries d SET attempts = r.n, response_code = nullif(r.code, 0)::int, latency_ms = r.latency_ms, updated_at = now(),
        status = CASE WHEN d.status = 'canceled' AND r.status <> 'delivered' THEN d.status ELSE r.status END,
        last_error = CASE WHEN d.status = 'canceled' AND r.status <> 'delivered' THEN d.last_error ELSE nullif(r.error, '') END,
        next_attempt_at = CASE WHEN r.status = 'failed' AND d.status <> 'canceled' THEN now() + r.wait_ms * interval '1 ms' END,
        first_attempt_at = coalesce(d.first_attempt_at, now() - r.latency_ms * interval '1 ms')
    FROM r WHERE d.id = r.id AND d.attempts = r.n - 1 AND d.status IN ('pending', 'failed', 'canceled')
    RETURNING d.id, CASE WHEN r.no < 0 THEN 'probe' WHEN r.n - d.attempts_before > 1 THEN 'retry'
        WHEN d.trigger = 'event' THEN 'first' ELSE d.trigger END AS trigger
)
INSERT INTO attempts (delivery_id, attempt, outcome, response_code, latency_ms, error, response_body, address, trigger, url,
    request_headers, response_headers, dns_ms, connect_ms, tls_ms, first_byte_ms)
SELECT r.id, r.n, r.status, nullif(r.code, 0)::int, r.latency_ms, nullif(r.error, ''), r.reply, nullif(r.address, ''), done.trigger,
    r.url, r.sent, r.reply_headers, nullif(r.dns_ms, -1), nullif(r.connect_ms, -1), nullif(r.tls_ms, -1), nullif(r.first_byte_ms, -1)
FROM r JOIN done ON done.id = r.id
RETURNING delivery_id

-- Members of batches that ended, or of which an attempt did.
-- name: members_follow write
UPDATE deliveries m SET status = CASE WHEN b.status IN ('delivered', 'dead') THEN b.status ELSE m.status END, attempts = b.attempts,
    response_code = b.response_code, latency_ms = b.latency_ms, last_error = b.last_error, updated_at = now()
FROM deliveries b
WHERE b.id = ANY ($1::uuid[]) AND b.event = 'batch' AND m.batch_id = b.id AND m.status IN ('batched', 'dead')

-- name: delivery_lock
SELECT d.id, d.status, e.status FROM deliveries d LEFT JOIN endpoints e ON e.id = d.endpoint_id AND e.deleted_at IS NULL
WHERE d.id = $1::uuid AND ($2::boolean OR d.user_id = $3::bigint) FOR UPDATE OF d

-- name: delivery_again write
UPDATE deliveries SET status = 'pending', trigger = 'resend', attempts_before = attempts, next_attempt_at = now(), batch_id = NULL,
    first_attempt_at = NULL, updated_at = now() WHERE id = $1::uuid
RETURNING endpoint_id

-- name: delivery_attempts
SELECT a.id, a.attempt, a.outcome, a.response_code, a.trigger, a.latency_ms, a.dns_ms, a.connect_ms, a.tls_ms, a.first_byte_ms,
    a.address, a.url, a.request_headers, a.response_headers, a.error, a.response_body, a.created_at
FROM deliveries d JOIN attempts a ON a.delivery_id = coalesce(d.batch_id, d.id)
WHERE d.id = $1::uuid AND ($2::boolean OR d.user_id = $3::bigint) ORDER BY a.attempt, a.id LIMIT 100

-- name: delivery_there
SELECT event_id, event, body FROM deliveries WHERE id = $1::uuid AND ($2::boolean OR user_id = $3::bigint)

-- The weeks to come.
-- name: deliveries_weeks write
SELECT count(*) FILTER (WHERE deliveries_ensure((date_trunc('week', now() AT TIME ZONE 'UTC') + w * interval '7 days')::date))
FROM generate_series(1, 3) w

-- name: deliveries_expire write
SELECT deliveries_expire(current_date - $1::int)

-- What a dropped week left behind, once its time is over too.
-- name: deliveries_drop write
WITH old AS (
    SELECT id FROM deliveries_rest WHERE status IN ('delivered', 'dead', 'canceled', 'skipped')
        AND updated_at < now() - make_interval(days => $1::int)
    ORDER BY updated_at LIMIT $2::int
), gone AS (DELETE FROM attempts_rest a USING old WHERE a.delivery_id = old.id)
DELETE FROM deliveries_rest d USING old WHERE d.id = old.id

-- Of endpoints that are gone: what was too much for their deletion, and what a fan-out wrote that had begun before it.
-- name: deliveries_orphaned write
WITH open AS (
    SELECT o.id FROM endpoints e CROSS JOIN LATERAL (
        SELECT id FROM deliveries WHERE endpoint_id = e.id AND status IN ('pending', 'failed')
        UNION ALL SELECT id FROM deliveries WHERE endpoint_id = e.id AND status = 'batched') o
    WHERE e.deleted_at > now() - interval '1 day' LIMIT 5000
)
UPDATE deliveries d SET status = 'canceled', next_attempt_at = NULL, last_error = 'The endpoint was deleted.', updated_at = now()
FROM open WHERE d.id = open.id AND d.status IN ('pending', 'failed', 'batched')

-- Which of these endpoints have something due.
-- name: deliveries_any
SELECT w.id FROM unnest($1::bigint[]) AS w(id) WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_id = w.id
    AND d.status IN ('pending', 'failed') AND d.next_attempt_at <= now())

-- A test that was made, with its one attempt.
-- name: delivery_tested write
WITH d AS (
    INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, trace, request_id, body, trigger, status, attempts,
        response_code, latency_ms, last_error, first_attempt_at)
    VALUES ($1::uuid, $2::bigint, $3::bigint, $4::uuid, $5::text, $6::text, $7::timestamptz, $8::text, $9::text, $10::text, 'test',
        $11::text, 1, $12::int, $13::int, $14::text, now())
)
INSERT INTO attempts (delivery_id, attempt, outcome, response_code, latency_ms, error, response_body, address, trigger, url,
    request_headers, response_headers, dns_ms, connect_ms, tls_ms, first_byte_ms)
VALUES ($1::uuid, 1, $11::text, $12::int, $13::int, $14::text, $15::text, $16::text, 'test', $17::text, $18::text, $19::text, $20::int,
    $21::int, $22::int, $23::int)
