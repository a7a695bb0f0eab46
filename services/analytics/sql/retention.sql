-- Partitions ahead of what is written, and away with what is old.

-- Days are counted from 1970 so that all replicas agree where a partition begins.
-- name: part_ensure write
SELECT count(*) FILTER (WHERE part_ensure($1::text::regclass, day, $2::int)) FROM (
    SELECT DISTINCT d::date - (d::date - date '1970-01-01') % $2::int AS day
    FROM generate_series((now() AT TIME ZONE 'UTC')::date - $2::int, (now() AT TIME ZONE 'UTC')::date + 2 * $2::int, interval '1 day') d) days

-- name: part_expire write
SELECT part_expire($1::text::regclass, (now() AT TIME ZONE 'UTC')::date - $3::int, $2::int)

-- name: anomalies_expire write
DELETE FROM anomalies WHERE status = 'resolved' AND started_at < now() - $1::int * interval '1 day'

-- name: seen_expire write
DELETE FROM seen WHERE first_at < now() - $1::int * interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM facets f WHERE f.consumer = seen.consumer AND f.kind = seen.kind AND f.value = seen.value)
