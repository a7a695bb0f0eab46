-- Storing what api.requests says.

-- How far the partitions are; held until the end, so that a partition is stored by one at a time.
-- name: taken_make write
INSERT INTO taken (topic, partition, next_offset) SELECT $1::text, p, 0 FROM unnest($2::bigint[]) p ORDER BY p
ON CONFLICT DO NOTHING

-- name: taken_lock
SELECT partition, next_offset FROM taken WHERE topic = $1::text AND partition = ANY ($2::bigint[]) ORDER BY partition FOR UPDATE

-- name: taken_set write
UPDATE taken t SET next_offset = k.next, taken_at = now() FROM unnest($2::bigint[], $3::bigint[]) k(partition, next)
WHERE t.topic = $1::text AND t.partition = k.partition AND t.next_offset < k.next

-- name: routes_find write
WITH k AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) k(program, method, template)),
made AS (INSERT INTO routes (program, method, template) SELECT program, method, template FROM k ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING RETURNING id, program, method, template)
SELECT id, program, method, template FROM made
UNION ALL SELECT r.id, r.program, r.method, r.template FROM k JOIN routes r USING (program, method, template)

-- name: consumers_find write
WITH k AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) k(kind, number, user_id)),
made AS (INSERT INTO consumers (kind, number, user_id) SELECT kind, number, user_id FROM k ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING RETURNING id, kind, number, user_id)
SELECT id, kind, number, user_id FROM made
UNION ALL SELECT c.id, c.kind, c.number, c.user_id FROM k JOIN consumers c USING (kind, number, user_id)

-- name: requests_store write
COPY request_blocks (since, until, at, route, status, total_us, queue_us, db_us, bytes_in, bytes_out, consumer, network, agent, country,
    problem, request_id, request_uuid, request_hex, ids) FROM STDIN (FORMAT binary)

-- name: fresh_store write
INSERT INTO fresh (bucket, route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch)
SELECT to_timestamp(bucket), route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, decode(sketch, 'hex')
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[])
    k(bucket, route, consumer, class, n, limited, bytes_in, bytes_out, total_us, queue_us, db_us, max_us, sketch)

-- name: facets_store write
INSERT INTO facets AS f (bucket, consumer, kind, value, n)
SELECT to_timestamp(bucket), consumer, kind, value, n
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) k(bucket, consumer, kind, value, n) ORDER BY 1, 2, 3, 4
ON CONFLICT (bucket, consumer, kind, value) DO UPDATE SET n = f.n + excluded.n

-- name: losses_store write
INSERT INTO losses (at, program, rule, n) SELECT now(), program, rule, n FROM unnest($1::text[], $2::text[], $3::bigint[]) k(program, rule, n)
