-- From new cells to sums.  One at a time: what it reads nobody else changes.

-- name: roll_lock
SELECT pg_try_advisory_xact_lock(hashtextextended('analytics_roll:' || current_schema(), 365))

-- name: roll_take write
DELETE FROM fresh WHERE ctid = ANY (ARRAY(SELECT ctid FROM fresh LIMIT $1::int))
RETURNING extract(epoch FROM bucket)::bigint, route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch

-- name: roll_known
SELECT k.at, s.sketch
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY k(level, bucket, dim, route, consumer, class, at)
CROSS JOIN LATERAL (SELECT sketch FROM sums s WHERE s.level = k.level AND s.dim = k.dim AND s.consumer = k.consumer
    AND s.route = k.route AND s.bucket = to_timestamp(k.bucket) AND s.class = k.class LIMIT 1) s

-- name: roll_store write
INSERT INTO sums AS s (level, bucket, dim, route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch)
SELECT level, to_timestamp(bucket), dim, route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us,
    decode(sketch, 'hex')
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[])
    k(level, bucket, dim, route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch)
ON CONFLICT (level, dim, consumer, route, bucket, class) DO UPDATE SET n = s.n + excluded.n, limited = s.limited + excluded.limited,
    bytes_in = s.bytes_in + excluded.bytes_in, bytes_out = s.bytes_out + excluded.bytes_out, total_us = s.total_us + excluded.total_us,
    queue_us = s.queue_us + excluded.queue_us, db_us = s.db_us + excluded.db_us, max_us = greatest(s.max_us, excluded.max_us),
    sketch = excluded.sketch
