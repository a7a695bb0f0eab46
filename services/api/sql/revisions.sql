-- name: purge_revisions write
-- Days that they are kept, and how many go at once.
DELETE FROM revisions WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM revisions WHERE at < now() - $1::bigint * interval '1 day' ORDER BY at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
