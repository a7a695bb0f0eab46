-- name: secret_add write
INSERT INTO secrets (endpoint_id, kind, sealed, public_key) VALUES ($1::bigint, $2::text, $3::text, $4::text)

-- The current one ends, now or later; how many live ones there are.
-- name: secret_retire write
WITH old AS (
    UPDATE secrets SET expires_at = now() + $3::bigint * interval '1 second', revoked = $3::bigint = 0,
        sealed = CASE WHEN $3::bigint > 0 THEN sealed END
    WHERE endpoint_id = $1::bigint AND kind = $2::text AND expires_at IS NULL
)
SELECT count(*) FROM secrets WHERE endpoint_id = $1::bigint AND kind = $2::text AND sealed IS NOT NULL
    AND (expires_at IS NULL OR expires_at > now())

-- name: secret_revoke write
UPDATE secrets SET expires_at = now(), revoked = true, sealed = NULL
WHERE id = $1::bigint AND endpoint_id = $2::bigint AND expires_at > now()

-- name: secrets_end write
UPDATE secrets SET expires_at = now(), revoked = true, sealed = NULL WHERE endpoint_id = $1::bigint AND sealed IS NOT NULL

-- name: secret_one
SELECT expires_at IS NULL, coalesce(expires_at > now(), true) FROM secrets WHERE id = $1::bigint AND endpoint_id = $2::bigint

-- name: secrets_history
SELECT id, kind, public_key, created_at, expires_at, CASE WHEN expires_at IS NULL THEN 'current' WHEN revoked THEN 'revoked'
    WHEN expires_at > now() THEN 'overlapping' ELSE 'expired' END
FROM secrets WHERE endpoint_id = $1::bigint ORDER BY id DESC LIMIT 100

-- Those that sign, newest first.
-- name: secrets_live
SELECT endpoint_id, kind, sealed, coalesce((extract(epoch FROM expires_at) * 1000)::bigint, 0) FROM secrets
WHERE endpoint_id = ANY ($1::bigint[]) AND sealed IS NOT NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY endpoint_id, id DESC

-- name: secrets_wipe write
UPDATE secrets SET sealed = NULL WHERE sealed IS NOT NULL AND expires_at < now()
