-- The endpoints of those named that are the caller's own.
-- name: portal_endpoints
SELECT count(*) FROM endpoints WHERE id = ANY ($1::bigint[]) AND deleted_at IS NULL AND ($2::boolean OR user_id = $3::bigint)
    AND user_id = (SELECT min(user_id) FROM endpoints WHERE id = ANY ($1::bigint[]))

-- name: portal_add write
INSERT INTO portals (user_id, label, endpoint_ids, can_resend, can_rotate, token_hash, expires_at)
SELECT min(e.user_id), $2::text, to_jsonb($1::bigint[]), $3::boolean, $4::boolean, $5::text, now() + make_interval(secs => $6::int)
FROM endpoints e WHERE e.id = ANY ($1::bigint[])
RETURNING id

-- name: portal_json
SELECT json_build_object('id', id, 'user', json_build_object('id', user_id), 'label', label, 'endpoint_ids', endpoint_ids,
    'can_resend', can_resend, 'can_rotate', can_rotate, 'expires_at', to_char(expires_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'revoked_at', to_char(revoked_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'last_used_at', to_char(last_used_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'last_action', last_action,
    'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
FROM portals WHERE id = $1::bigint

-- name: portal_revoke write
UPDATE portals SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1::bigint AND ($2::boolean OR user_id = $3::bigint)
RETURNING revoked_at = now()

-- Works only while it may: not expired, not revoked, its owner active.
-- name: portal_find
SELECT p.id, p.user_id, p.label, p.endpoint_ids::text, p.can_resend, p.can_rotate, to_char(p.expires_at, 'YYYY-MM-DD HH24:MI:SS" UTC"'),
    coalesce(p.last_used_at < now() - interval '1 minute', true)
FROM portals p LEFT JOIN people u ON u.user_id = p.user_id
WHERE p.token_hash = $1::text AND p.expires_at > now() AND p.revoked_at IS NULL AND coalesce(u.active, true)

-- name: portal_used write
UPDATE portals SET last_used_at = now(), last_action = coalesce($2::text, last_action) WHERE id = $1::bigint

-- name: portal_shows
SELECT id, url, status, coalesce(description, ''), array_to_string(events, ', ') FROM endpoints
WHERE id = ANY ($1::bigint[]) AND user_id = $2::bigint AND deleted_at IS NULL ORDER BY id

-- A page of the log: those older than the last one seen.
-- name: portal_deliveries
SELECT d.id, d.event, d.status, d.attempts, coalesce(d.response_code::text, '–'), to_char(d.created_at, 'YYYY-MM-DD HH24:MI:SS" UTC"'), coalesce(d.last_error, '')
FROM deliveries d
WHERE d.endpoint_id = $1::bigint AND ($2::text IS NULL OR d.status = $2::text)
    AND ($3::uuid IS NULL OR (d.created_at, d.id) < (SELECT b.created_at, b.id FROM deliveries b WHERE b.id = $3::uuid
        AND b.endpoint_id = $1::bigint))
ORDER BY d.created_at DESC, d.id DESC LIMIT 26

-- name: portal_delivery
SELECT d.id, d.endpoint_id, d.event, d.status, d.attempts, 'evt_' || d.event_id, to_char(d.created_at, 'YYYY-MM-DD HH24:MI:SS" UTC"'), d.body, coalesce(d.last_error, '')
FROM deliveries d JOIN endpoints e ON e.id = d.endpoint_id AND e.deleted_at IS NULL AND e.user_id = $3::bigint
WHERE d.id = $1::uuid AND d.endpoint_id = ANY ($2::bigint[])
