-- name: purge_moved write
-- Days that it is told what went, and how much goes at once.
DELETE FROM moved WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM moved WHERE at < now() - $1::bigint * interval '1 day' ORDER BY at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
-- name: purge_purged write
DELETE FROM purged WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM purged WHERE at < now() - $1::bigint * interval '1 day' ORDER BY at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
