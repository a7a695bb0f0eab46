-- Events, not batches and not tests: a batch's members are gone through one by one.
-- name: replay_count
SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = ANY ($2::text[]) AND event <> 'batch' AND trigger <> 'test'
    AND ($3::text IS NULL OR event LIKE $3::text) AND ($4::text IS NULL OR entity = $4::text)
    AND created_at >= coalesce($5::timestamptz, '-infinity') AND created_at < coalesce($6::timestamptz, 'infinity')

-- The oldest of them, in their order.
-- name: replay_again write
WITH found AS (
    SELECT id FROM deliveries WHERE endpoint_id = $1::bigint AND status = ANY ($2::text[]) AND event <> 'batch' AND trigger <> 'test'
        AND ($3::text IS NULL OR event LIKE $3::text) AND ($4::text IS NULL OR entity = $4::text)
        AND created_at >= coalesce($5::timestamptz, '-infinity') AND created_at < coalesce($6::timestamptz, 'infinity')
    ORDER BY created_at, id LIMIT $8::bigint
), again AS (
    UPDATE deliveries d SET status = 'pending', trigger = $7::text, attempts_before = d.attempts, next_attempt_at = now(),
        batch_id = NULL, first_attempt_at = NULL, last_error = NULL, updated_at = now()
    FROM found WHERE d.id = found.id AND d.status = ANY ($2::text[])
    RETURNING d.id
)
SELECT count(*) FROM again
