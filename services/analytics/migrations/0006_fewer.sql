-- A record has fewer indexes to go into.  A key stands for one person: with the key behind it, the index that finds a person's requests
-- finds those of one of their keys, without reading the others.
DROP INDEX requests_key_idx;
DROP INDEX requests_user_idx;
CREATE INDEX requests_user_idx ON requests (user_id, at, id, key_id) WHERE user_id IS NOT NULL;
-- An index of ranges is opened anew for each record, whatever the number of its columns.
DROP INDEX requests_id_idx;
DROP INDEX requests_request_id_idx;
CREATE INDEX requests_ranges_idx ON requests USING brin (id, request_id text_bloom_ops (n_distinct_per_range = 6000))
    WITH (pages_per_range = 128, autosummarize = on);

-- An index of ranges that is made of an empty table has a filter for its first range, which each of the first six thousand records would
-- be added to (80 us each); like all others it is to be made when the range is full.
CREATE OR REPLACE FUNCTION part_ensure(parent regclass, first date, days int) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE part text := parent::text || '_' || to_char(first, 'YYYYMMDD');
BEGIN
    IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('analytics_partitions:' || current_schema(), 365));
    IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
    SET LOCAL lock_timeout = '2s';
    EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', part, parent, first::timestamptz, (first + days)::timestamptz);
    PERFORM brin_desummarize_range(i.indexrelid, 0) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        WHERE i.indrelid = to_regclass(part) AND m.amname = 'brin';
    IF parent::text LIKE 'sums_%' THEN -- written to again and again while its time runs
        EXECUTE format('ALTER TABLE %I SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)', part);
    END IF;
    RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR invalid_object_definition THEN RETURN false;
END $$;
