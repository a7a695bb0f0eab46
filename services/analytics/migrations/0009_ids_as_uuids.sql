-- Request ids are UUIDs or 32 hexadecimal digits, but for those that a client writes in capitals: 16 bytes each, where a text was 40.  Of the
-- three columns one has a request's id, and one that would have none of the block is null.
ALTER TABLE request_blocks ADD request_uuid uuid[], ADD request_hex uuid[];
ALTER TABLE request_blocks ALTER request_uuid SET STORAGE EXTERNAL, ALTER request_hex SET STORAGE EXTERNAL; -- chance does not pack
COMMENT ON COLUMN request_blocks.request_uuid IS 'Ids in the form of a UUID, in small letters.';
COMMENT ON COLUMN request_blocks.request_hex IS 'Ids of 32 hexadecimal digits, in small letters.';
COMMENT ON COLUMN request_blocks.request_id IS 'Ids in any other form, and all of blocks from before there were the other two.';
DO $$
DECLARE part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'request_blocks'::regclass LOOP -- as part_ensure does
        EXECUTE format('ALTER TABLE %s ALTER request_uuid SET STATISTICS 0, ALTER request_hex SET STATISTICS 0', part);
    END LOOP;
END $$;
CREATE OR REPLACE VIEW requests AS SELECT b.number * 1024 + r.place - 1 AS id, b.number AS block, b.until AS block_until, r.at, r.route, r.status,
    r.total_us, r.queue_us, r.db_us, r.bytes_in, r.bytes_out, CASE c.kind WHEN 'key' THEN c.number END AS key_id,
    CASE c.kind WHEN 'client' THEN c.number END AS client_id, nullif(c.user_id, 0) AS user_id, c.kind AS consumer,
    coalesce(r.request_uuid::text, translate(r.request_hex::text, '-', ''), r.request_id) AS request_id, r.network, r.agent, r.country, r.problem
FROM request_blocks b
CROSS JOIN LATERAL unnest(b.at, whole(b.route, cardinality(b.at)), whole(b.status, cardinality(b.at)), whole(b.total_us, cardinality(b.at)),
    whole(b.queue_us, cardinality(b.at)), whole(b.db_us, cardinality(b.at)), whole(b.bytes_in, cardinality(b.at)),
    whole(b.bytes_out, cardinality(b.at)), whole(b.consumer, cardinality(b.at)), whole(b.network, cardinality(b.at)),
    whole(b.agent, cardinality(b.at)), whole(b.request_id, cardinality(b.at)), b.request_uuid, b.request_hex,
    whole(b.country, cardinality(b.at)), whole(b.problem, cardinality(b.at))) WITH ORDINALITY
    r(at, route, status, total_us, queue_us, db_us, bytes_in, bytes_out, consumer, network, agent, request_id, request_uuid, request_hex, country,
    problem, place)
JOIN consumers c ON c.id = r.consumer;
