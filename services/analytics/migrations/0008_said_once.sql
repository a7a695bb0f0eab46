-- What all requests of a block have in common is said once: an array of one stands for as many as there are times.
CREATE FUNCTION whole(v anyarray, n int) RETURNS anyarray LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN cardinality(v) = 1 THEN array_fill(v[1], ARRAY[n]) ELSE v END
$$;
COMMENT ON COLUMN request_blocks.at IS 'Always all of them, as many as the block has requests; an array of one in any other column stands for all.';
CREATE OR REPLACE VIEW requests AS SELECT b.number * 1024 + r.place - 1 AS id, b.number AS block, b.until AS block_until, r.at, r.route, r.status,
    r.total_us, r.queue_us, r.db_us, r.bytes_in, r.bytes_out, CASE c.kind WHEN 'key' THEN c.number END AS key_id,
    CASE c.kind WHEN 'client' THEN c.number END AS client_id, nullif(c.user_id, 0) AS user_id, c.kind AS consumer, r.request_id, r.network,
    r.agent, r.country, r.problem
FROM request_blocks b
CROSS JOIN LATERAL unnest(b.at, whole(b.route, cardinality(b.at)), whole(b.status, cardinality(b.at)), whole(b.total_us, cardinality(b.at)),
    whole(b.queue_us, cardinality(b.at)), whole(b.db_us, cardinality(b.at)), whole(b.bytes_in, cardinality(b.at)),
    whole(b.bytes_out, cardinality(b.at)), whole(b.consumer, cardinality(b.at)), whole(b.network, cardinality(b.at)),
    whole(b.agent, cardinality(b.at)), whole(b.request_id, cardinality(b.at)), whole(b.country, cardinality(b.at)),
    whole(b.problem, cardinality(b.at))) WITH ORDINALITY
    r(at, route, status, total_us, queue_us, db_us, bytes_in, bytes_out, consumer, network, agent, request_id, country, problem, place)
JOIN consumers c ON c.id = r.consumer;
