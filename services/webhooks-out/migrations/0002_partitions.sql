-- Deliveries and their attempts lie in partitions of a week, by the time in the delivery's UUIDv7, and leave the log by
-- dropping one.  What there is becomes the first partition as it stands: nothing is copied.  Endpoints are deleted softly.
ALTER TABLE endpoints ADD COLUMN deleted_at timestamptz;
ALTER TABLE endpoints ALTER COLUMN secret DROP NOT NULL;
ALTER TABLE endpoints ADD CONSTRAINT endpoints_secret_check CHECK ((secret IS NULL) = (deleted_at IS NOT NULL));

CREATE SEQUENCE deliveries_number;
SELECT setval('deliveries_number', coalesce(max(seq), 0) + 1, false) FROM deliveries;
CREATE SEQUENCE attempts_number;
SELECT setval('attempts_number', coalesce(max(id), 0) + 1, false) FROM attempts;

ALTER TABLE deliveries RENAME TO deliveries_first;
ALTER TABLE deliveries_first ALTER COLUMN seq DROP IDENTITY;
ALTER TABLE deliveries_first DROP CONSTRAINT deliveries_status_check;
ALTER TABLE deliveries_first ADD CONSTRAINT deliveries_status_check
    CHECK (status IN ('pending', 'failed', 'delivered', 'dead', 'canceled'));
ALTER INDEX deliveries_pkey RENAME TO deliveries_first_pkey;
ALTER INDEX deliveries_due_idx RENAME TO deliveries_first_due_idx;
ALTER INDEX deliveries_order_idx RENAME TO deliveries_first_order_idx;
ALTER INDEX deliveries_created_at_idx RENAME TO deliveries_first_created_at_idx;
ALTER INDEX deliveries_endpoint_idx RENAME TO deliveries_first_endpoint_idx;
DROP INDEX deliveries_old_idx;
ALTER TABLE attempts RENAME TO attempts_first;
ALTER TABLE attempts_first ALTER COLUMN id DROP IDENTITY;
ALTER TABLE attempts_first DROP CONSTRAINT attempts_pkey;
ALTER TABLE attempts_first ADD CONSTRAINT attempts_first_pkey PRIMARY KEY (delivery_id, id);
DROP INDEX attempts_delivery_idx;

CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    seq bigint NOT NULL DEFAULT nextval('deliveries_number'),
    endpoint_id bigint NOT NULL,
    user_id bigint NOT NULL,
    event_id uuid NOT NULL,
    event text NOT NULL,
    entity text NOT NULL,
    trigger text NOT NULL DEFAULT 'event' CONSTRAINT deliveries_trigger_check CHECK (trigger IN ('event', 'resend')),
    status text NOT NULL DEFAULT 'pending'
        CONSTRAINT deliveries_status_check CHECK (status IN ('pending', 'failed', 'delivered', 'dead', 'canceled')),
    attempts int NOT NULL DEFAULT 0,
    attempts_before int NOT NULL DEFAULT 0,
    response_code int,
    latency_ms int,
    next_attempt_at timestamptz,
    last_error text,
    event_at timestamptz NOT NULL,
    trace text,
    request_id text,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON COLUMN deliveries.attempts_before IS 'Attempts made before the last resend, which has a budget of its own.';
CREATE INDEX deliveries_due_idx ON deliveries (endpoint_id, next_attempt_at, seq) WHERE status IN ('pending', 'failed');
CREATE INDEX deliveries_order_idx ON deliveries (endpoint_id, seq) WHERE status IN ('pending', 'failed');
CREATE INDEX deliveries_created_at_idx ON deliveries (user_id, created_at, id);
CREATE INDEX deliveries_endpoint_idx ON deliveries (endpoint_id, created_at, id);

CREATE TABLE attempts (
    id bigint NOT NULL DEFAULT nextval('attempts_number'),
    delivery_id uuid NOT NULL,
    attempt int NOT NULL,
    outcome text NOT NULL CONSTRAINT attempts_outcome_check CHECK (outcome IN ('delivered', 'failed', 'dead')),
    response_code int,
    latency_ms int,
    error text,
    response_body text,
    address text,
    trigger text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_id, id)
) PARTITION BY RANGE (delivery_id);

-- The first UUIDv7 of a day.
CREATE FUNCTION deliveries_bound(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

DO $$
DECLARE ends date := (date_trunc('week', now() AT TIME ZONE 'UTC') + interval '7 days')::date; part text; name text;
BEGIN
    FOREACH part IN ARRAY ARRAY['deliveries', 'attempts'] LOOP
        name := part || '_to_' || to_char(ends, 'YYYYMMDD');
        EXECUTE format('ALTER TABLE %I RENAME TO %I', part || '_first', name);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)', part, name, deliveries_bound(ends));
    END LOOP;
END $$;

-- Rows whose week has no partition, and those that outlive it: still to go, or ended not long ago.
CREATE TABLE deliveries_rest PARTITION OF deliveries DEFAULT WITH (toast_tuple_target = 128);
CREATE INDEX deliveries_rest_old_idx ON deliveries_rest (updated_at) WHERE status IN ('delivered', 'dead', 'canceled');
CREATE TABLE attempts_rest PARTITION OF attempts DEFAULT;

-- The runtime role may not create or drop tables; these functions do that for it.
CREATE FUNCTION deliveries_ensure(ends date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE part text; name text;
BEGIN
    IF to_regclass('deliveries_to_' || to_char(ends, 'YYYYMMDD')) IS NOT NULL THEN RETURN false; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('deliveries_partitions:' || current_schema(), 365));
    IF to_regclass('deliveries_to_' || to_char(ends, 'YYYYMMDD')) IS NOT NULL THEN RETURN false; END IF;
    SET LOCAL lock_timeout = '2s';
    FOREACH part IN ARRAY ARRAY['deliveries', 'attempts'] LOOP
        name := part || '_to_' || to_char(ends, 'YYYYMMDD');
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', name, part, deliveries_bound(ends - 7),
            deliveries_bound(ends));
    END LOOP;
    EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 128, autovacuum_vacuum_scale_factor = 0.02,'
        ' autovacuum_vacuum_cost_delay = 0)', 'deliveries_to_' || to_char(ends, 'YYYYMMDD'));
    RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR invalid_object_definition THEN RETURN false;
END $$;

-- Drops the weeks that ended before the day, but keeps what is still to go and what ended since then.
CREATE FUNCTION deliveries_expire(day date) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE part text; log text; columns text; n int := 0;
    keep constant text := 'status IN (''pending'', ''failed'') OR updated_at >= $1';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('deliveries_partitions:' || current_schema(), 365));
    SET LOCAL lock_timeout = '2s';
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'deliveries'::regclass AND c.relname ~ '^deliveries_to_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') <= day ORDER BY 1 LOOP
        log := replace(part, 'deliveries', 'attempts');
        EXECUTE format('ALTER TABLE deliveries DETACH PARTITION %I', part);
        EXECUTE format('ALTER TABLE attempts DETACH PARTITION %I', log);
        SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
            WHERE attrelid = 'deliveries'::regclass AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('INSERT INTO deliveries (%s) SELECT %s FROM %I WHERE ' || keep, columns, columns, part) USING day;
        SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
            WHERE attrelid = 'attempts'::regclass AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('INSERT INTO attempts (%s) SELECT %s FROM %I WHERE delivery_id IN (SELECT id FROM %I WHERE ' || keep || ')',
            columns, columns, log, part) USING day;
        EXECUTE format('DROP TABLE %I, %I', part, log);
        n := n + 1;
    END LOOP;
    RETURN n;
EXCEPTION WHEN lock_not_available THEN RETURN 0;
END $$;

SELECT deliveries_ensure((date_trunc('week', now() AT TIME ZONE 'UTC') + interval '14 days')::date);

-- The log as it is shown: an event has one name everywhere.
CREATE VIEW deliveries_shown AS SELECT id, endpoint_id, user_id, 'evt_' || event_id::text AS event_id, event, entity, trigger,
    status, attempts, response_code, latency_ms, next_attempt_at, last_error, created_at, updated_at FROM deliveries;

-- Endpoints that are there; nobody asks for a secret.
CREATE VIEW endpoints_shown AS SELECT id, user_id, url, events, description, max_in_flight, status, version, created_at, updated_at
FROM endpoints WHERE deleted_at IS NULL;
