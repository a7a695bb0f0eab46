-- The log in blocks: up to a thousand requests are a row, a column of them an array.  What a row and its places in indexes cost, a request
-- pays a thousandth of; equal values beside each other are packed.  `requests` is what it was, unpacked by a view.
CREATE SEQUENCE request_blocks_number CACHE 20;
CREATE TABLE request_blocks (
    number bigint NOT NULL DEFAULT nextval('request_blocks_number'),
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    at timestamptz[] COMPRESSION lz4 NOT NULL,
    route int[] COMPRESSION lz4 NOT NULL,
    status smallint[] COMPRESSION lz4 NOT NULL,
    total_us int[] COMPRESSION lz4 NOT NULL,
    queue_us int[] COMPRESSION lz4 NOT NULL,
    db_us int[] COMPRESSION lz4 NOT NULL,
    bytes_in bigint[] COMPRESSION lz4 NOT NULL,
    bytes_out bigint[] COMPRESSION lz4 NOT NULL,
    consumer int[] COMPRESSION lz4 NOT NULL,
    network bigint[] COMPRESSION lz4 NOT NULL,
    agent text[] COMPRESSION lz4 NOT NULL,
    request_id text[] COMPRESSION lz4,
    country text[] COMPRESSION lz4,
    problem text[] COMPRESSION lz4,
    ids bytea,
    PRIMARY KEY (number, until),
    CHECK (since <= until AND until <= since + interval '1 hour')
) PARTITION BY RANGE (until);
ALTER TABLE request_blocks ALTER ids SET STORAGE PLAIN;
COMMENT ON COLUMN request_blocks.until IS 'Of the last request; since: of the first.  Never more than an hour apart, so that who looks for a time looks that much further.';
COMMENT ON COLUMN request_blocks.country IS 'Null: none of them has one.  So with request_id and problem.';
COMMENT ON COLUMN request_blocks.ids IS 'A Bloom filter of the request ids, ten bits each (services/analytics/block.c); null: it has to be looked.';
CREATE INDEX request_blocks_until_idx ON request_blocks (until, number);
CREATE INDEX request_blocks_since_idx ON request_blocks (since, number);
CREATE INDEX request_blocks_consumer_idx ON request_blocks USING gin (consumer) WITH (gin_pending_list_limit = 256);
CREATE TABLE request_blocks_rest PARTITION OF request_blocks DEFAULT;

CREATE OR REPLACE FUNCTION part_ensure(parent regclass, first date, days int) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE part text := parent::text || '_' || to_char(first, 'YYYYMMDD'); col text;
BEGIN
    IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('analytics_partitions:' || current_schema(), 365));
    IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
    SET LOCAL lock_timeout = '2s';
    EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', part, parent, first::timestamptz, (first + days)::timestamptz);
    IF parent::text LIKE 'sums_%' THEN -- written to again and again while its time runs
        EXECUTE format('ALTER TABLE %I SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)', part);
    END IF;
    FOR col IN SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = to_regclass(part) AND t.typcategory = 'A' LOOP -- nobody asks, and to count their elements takes seconds
        EXECUTE format('ALTER TABLE %I ALTER %I SET STATISTICS 0', part, col);
    END LOOP;
    RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR invalid_object_definition THEN RETURN false;
END $$;

CREATE OR REPLACE FUNCTION part_expire(parent regclass, day date, days int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE part text; n int := 0; col text := CASE parent::text WHEN 'request_blocks' THEN 'until' WHEN 'losses' THEN 'at' ELSE 'bucket' END;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('analytics_partitions:' || current_schema(), 365));
    SET LOCAL lock_timeout = '2s';
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent AND c.relname ~ ('^' || parent::text || '_[0-9]{8}$')
            AND to_date(right(c.relname, 8), 'YYYYMMDD') + days <= day ORDER BY 1 LOOP
        EXECUTE format('DROP TABLE %I', part);
        n := n + 1;
    END LOOP;
    EXECUTE format('DELETE FROM %I WHERE %I < $1', parent::text || '_rest', col) USING day::timestamptz;
    RETURN n;
EXCEPTION WHEN lock_not_available THEN RETURN 0;
END $$;

-- What there is already moves over, and is numbered anew.
SELECT part_ensure('request_blocks', to_date(right(c.relname, 8), 'YYYYMMDD'), 1) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'requests'::regclass AND c.relname ~ '^requests_[0-9]{8}$';
INSERT INTO request_blocks (since, until, at, route, status, total_us, queue_us, db_us, bytes_in, bytes_out, consumer, network, agent,
    request_id, country, problem)
SELECT min(at), max(at), array_agg(at ORDER BY nth), array_agg(route ORDER BY nth), array_agg(status ORDER BY nth),
    array_agg(total_us ORDER BY nth), array_agg(queue_us ORDER BY nth), array_agg(db_us ORDER BY nth), array_agg(bytes_in ORDER BY nth),
    array_agg(bytes_out ORDER BY nth), array_agg(consumer ORDER BY nth), array_agg(network ORDER BY nth), array_agg(agent ORDER BY nth),
    CASE WHEN count(request_id) > 0 THEN array_agg(request_id ORDER BY nth) END,
    CASE WHEN count(country) > 0 THEN array_agg(country ORDER BY nth) END,
    CASE WHEN count(problem) > 0 THEN array_agg(problem ORDER BY nth) END
FROM (SELECT l.*, c.id AS consumer, date_trunc('hour', l.at) AS hour,
        row_number() OVER (PARTITION BY date_trunc('hour', l.at) ORDER BY l.at, l.id) AS nth
    FROM requests l JOIN consumers c ON c.number = coalesce(l.key_id, l.client_id, 0) AND c.user_id = coalesce(l.user_id, 0)
        AND c.kind = CASE WHEN l.key_id IS NOT NULL THEN 'key' WHEN l.client_id IS NOT NULL THEN 'client' WHEN l.session THEN 'session' ELSE 'anonymous' END
    ) told
GROUP BY hour, (nth - 1) / 1000 ORDER BY 1;

DROP VIEW requests_shown;
DROP TABLE requests;
DROP SEQUENCE requests_number;
CREATE VIEW requests AS SELECT b.number * 1024 + r.place - 1 AS id, b.number AS block, b.until AS block_until, r.at, r.route, r.status,
    r.total_us, r.queue_us, r.db_us, r.bytes_in, r.bytes_out, CASE c.kind WHEN 'key' THEN c.number END AS key_id,
    CASE c.kind WHEN 'client' THEN c.number END AS client_id, nullif(c.user_id, 0) AS user_id, c.kind AS consumer, r.request_id, r.network,
    r.agent, r.country, r.problem
FROM request_blocks b
CROSS JOIN LATERAL unnest(b.at, b.route, b.status, b.total_us, b.queue_us, b.db_us, b.bytes_in, b.bytes_out, b.consumer, b.network, b.agent,
    b.request_id, b.country, b.problem) WITH ORDINALITY
    r(at, route, status, total_us, queue_us, db_us, bytes_in, bytes_out, consumer, network, agent, request_id, country, problem, place)
JOIN consumers c ON c.id = r.consumer;
COMMENT ON VIEW requests IS 'Single requests.  Say something of block, block_until or both, or all there are is unpacked.';
CREATE VIEW requests_shown AS SELECT l.id, l.block, l.block_until, l.at, r.program, r.method, r.template AS route, l.status, l.total_us,
    l.queue_us, l.db_us, l.bytes_in, l.bytes_out, l.key_id, l.client_id, l.user_id, l.consumer, l.request_id,
    lpad(to_hex(l.network), 16, '0') AS network, l.agent, l.country, l.problem
FROM requests l JOIN routes r ON r.id = l.route;
