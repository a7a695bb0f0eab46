-- Sums for answers.  $1-$3: stretches of the tables of sums that together are the window; `fresh` has what they have not yet.

-- name: scope_consumers
SELECT id FROM consumers WHERE ($1::boolean OR user_id = $2::bigint) AND ($3::bigint IS NULL OR (kind = 'key' AND number = $3::bigint))
    AND ($4::bigint IS NULL OR (kind = 'client' AND number = $4::bigint)) AND ($5::bigint IS NULL OR user_id = $5::bigint)
    AND ($6::text IS NULL OR kind = $6::text)

-- name: scope_routes
SELECT id FROM routes WHERE ($1::text IS NULL OR program = $1::text) AND ($2::text IS NULL OR method = $2::text)
    AND ($3::text IS NULL OR template = $3::text)

-- $4 dim, $5 consumers, $6 routes (ids, or 0 for what is not told apart), $7 $8 the window, $9 $10: any consumer, any route; $11: what the
-- rows are grouped by (0: begin of the bucket, 1: route, 2: consumer).
-- name: window_cells
SELECT CASE $11::int WHEN 1 THEN route WHEN 2 THEN consumer ELSE extract(epoch FROM bucket)::bigint END, class, n, limited, bytes_in,
    bytes_out, total_us, queue_us, db_us, max_us, sketch FROM (
    SELECT s.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) p(level, since, until)
    CROSS JOIN LATERAL (SELECT route, consumer, bucket, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch
        FROM sums WHERE level = p.level AND dim = $4::bigint AND consumer = ANY ($5::bigint[]) AND route = ANY ($6::bigint[])
            AND bucket >= to_timestamp(p.since) AND bucket < to_timestamp(p.until) OFFSET 0) s
    UNION ALL SELECT route, consumer, bucket, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch FROM fresh
    WHERE bucket >= to_timestamp($7::bigint) AND bucket < to_timestamp($8::bigint) AND ($9::boolean OR consumer = ANY ($5::bigint[]))
        AND ($10::boolean OR route = ANY ($6::bigint[]))) cells
ORDER BY 1

-- The same without sketches, one row a route.
-- name: window_by_route
SELECT route, sum(n), sum(limited), sum(bytes_in), sum(bytes_out), sum(total_us), sum(queue_us), sum(db_us), max(max_us),
    coalesce(sum(n) FILTER (WHERE class = 4), 0), coalesce(sum(n) FILTER (WHERE class = 5), 0) FROM (
    SELECT s.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) p(level, since, until)
    CROSS JOIN LATERAL (SELECT route, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us
        FROM sums WHERE level = p.level AND dim = $4::bigint AND consumer = ANY ($5::bigint[])
            AND bucket >= to_timestamp(p.since) AND bucket < to_timestamp(p.until) OFFSET 0) s
    UNION ALL SELECT route, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us FROM fresh
    WHERE bucket >= to_timestamp($6::bigint) AND bucket < to_timestamp($7::bigint) AND ($8::boolean OR consumer = ANY ($5::bigint[]))) cells
WHERE $9::boolean OR route = ANY ($10::bigint[]) GROUP BY 1

-- One row a consumer.
-- name: window_by_consumer
SELECT consumer, sum(n), sum(limited), sum(bytes_in), sum(bytes_out), sum(total_us), sum(queue_us), sum(db_us), max(max_us),
    coalesce(sum(n) FILTER (WHERE class = 4), 0), coalesce(sum(n) FILTER (WHERE class = 5), 0) FROM (
    SELECT s.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) p(level, since, until)
    CROSS JOIN LATERAL (SELECT consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us
        FROM sums WHERE level = p.level AND dim = $4::bigint AND route = ANY ($5::bigint[])
            AND bucket >= to_timestamp(p.since) AND bucket < to_timestamp(p.until) OFFSET 0) s
    UNION ALL SELECT consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us FROM fresh
    WHERE bucket >= to_timestamp($6::bigint) AND bucket < to_timestamp($7::bigint) AND ($8::boolean OR route = ANY ($5::bigint[]))) cells
WHERE $9::boolean OR consumer = ANY ($10::bigint[]) GROUP BY 1

-- name: route_names
SELECT id, program, method, template FROM routes WHERE id = ANY ($1::bigint[])

-- name: consumer_names
SELECT id, kind, number, user_id FROM consumers WHERE id = ANY ($1::bigint[])

-- name: window_losses
SELECT coalesce(sum(n), 0) FROM losses WHERE at >= to_timestamp($1::bigint) AND at < to_timestamp($2::bigint)

-- name: window_anomalies
SELECT count(*) FROM anomalies WHERE status = 'open' AND ($1::boolean OR user_id = $2::bigint)
