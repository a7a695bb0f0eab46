-- The form that the owner's endpoint takes, if there is such an endpoint.
-- name: call_format
SELECT e.format FROM endpoints e LEFT JOIN people p ON p.user_id = e.user_id
WHERE e.id = $1::bigint AND e.user_id = $2::bigint AND e.deleted_at IS NULL AND coalesce(p.active, true)

-- name: call_add write
INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, trace, request_id, body, next_attempt_at)
VALUES ($1::uuid, $2::bigint, $3::bigint, $4::uuid, $5::text, $6::text, $7::timestamptz, $8::text, $9::text, $10::text, now())
