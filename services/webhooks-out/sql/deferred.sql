-- What would only wait (dispatch_deferred.c).

-- The same arguments as deliveries_add; a row has as many deliveries as one statement of deferred_expand makes.
-- name: deferred_add write
INSERT INTO deferred (event_id, event, entity, event_at, trace, request_id, body, delivery_ids, endpoint_ids, user_ids)
SELECT s.event_id, s.event, s.entity, s.event_at, s.trace, s.request_id, s.body, t.ids, t.endpoints, t.users
FROM (SELECT sight, array_agg(id ORDER BY no) AS ids, array_agg(endpoint_id ORDER BY no) AS endpoints, array_agg(user_id ORDER BY no) AS users,
        min(no) AS no
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS t(id, endpoint_id, user_id, sight, no)
    GROUP BY sight, no / 64) t
JOIN unnest($5::uuid[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::text[], $11::text[]) WITH ORDINALITY
    AS s(event_id, event, entity, event_at, trace, request_id, body, no) ON s.no = t.sight
ORDER BY t.no

-- name: deferred_expand write
WITH due AS (
    DELETE FROM deferred WHERE id = ANY (ARRAY(SELECT id FROM deferred ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED)) RETURNING *
)
INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, trace, request_id, body, next_attempt_at)
SELECT t.id, t.endpoint_id, t.user_id, d.event_id, d.event, d.entity, d.event_at, d.trace, d.request_id, d.body, now()
FROM due d CROSS JOIN LATERAL unnest(d.delivery_ids, d.endpoint_ids, d.user_ids) WITH ORDINALITY AS t(id, endpoint_id, user_id, no)
ORDER BY d.id, t.no
