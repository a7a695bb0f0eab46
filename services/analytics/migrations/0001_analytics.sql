-- The request log, its sums, and what is unusual in them.  Sums are additive: a cell may be in `fresh` more than once and in a table of
-- sums too; readers add them up, so replicas never wait for each other.  `fresh` is what the log has and the sums have not; one roller at a
-- time moves it over.  Everything that grows with traffic lies in partitions of time and leaves by dropping one.
CREATE TABLE routes (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program text NOT NULL,
    method text NOT NULL,
    template text NOT NULL,
    UNIQUE (program, method, template)
);
CREATE TABLE consumers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('anonymous', 'key', 'client', 'session')),
    number bigint NOT NULL,
    user_id bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, number, user_id)
);
COMMENT ON TABLE consumers IS 'Who sends requests: a credential, and the person it stands for (0: none).';
CREATE INDEX consumers_user_idx ON consumers (user_id);

CREATE TABLE taken (
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE taken IS 'How far each partition was stored, written in the transaction that stores it: each record counts once.';

CREATE SEQUENCE requests_number;
CREATE TABLE requests (
    id bigint NOT NULL DEFAULT nextval('requests_number'),
    at timestamptz NOT NULL,
    route int NOT NULL,
    status smallint NOT NULL,
    total_us int NOT NULL,
    queue_us int NOT NULL,
    db_us int NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    key_id bigint,
    client_id bigint,
    user_id bigint,
    session boolean NOT NULL,
    request_id text,
    network bigint NOT NULL,
    agent text NOT NULL,
    country text,
    problem text,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX requests_at_idx ON requests (at, id);
CREATE INDEX requests_user_idx ON requests (user_id, at, id) WHERE user_id IS NOT NULL;
CREATE INDEX requests_key_idx ON requests (key_id, at, id) WHERE key_id IS NOT NULL;
CREATE INDEX requests_request_id_idx ON requests (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX requests_failed_idx ON requests (at, id) WHERE status >= 500;

CREATE TABLE losses (
    at timestamptz NOT NULL,
    program text NOT NULL,
    rule text NOT NULL,
    n bigint NOT NULL
) PARTITION BY RANGE (at);
COMMENT ON TABLE losses IS 'Requests that a program could not tell of, by the rule that dropped them.';
CREATE INDEX losses_at_idx ON losses (at);

CREATE TABLE facets (
    bucket timestamptz NOT NULL,
    consumer int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('country', 'agent', 'network')),
    value text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (bucket, consumer, kind, value)
) PARTITION BY RANGE (bucket);
COMMENT ON TABLE facets IS 'From where and with what a credential was used, in five minutes.';

CREATE SEQUENCE fresh_number;
CREATE TABLE fresh (
    id bigint PRIMARY KEY DEFAULT nextval('fresh_number'),
    bucket timestamptz NOT NULL,
    route int NOT NULL,
    consumer int NOT NULL,
    class smallint NOT NULL,
    n bigint NOT NULL,
    limited bigint NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    total_us bigint NOT NULL,
    queue_us bigint NOT NULL,
    db_us bigint NOT NULL,
    max_us bigint NOT NULL,
    sketch bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE sums (
    level smallint NOT NULL,
    bucket timestamptz NOT NULL,
    dim smallint NOT NULL,
    route int NOT NULL,
    consumer int NOT NULL,
    class smallint NOT NULL,
    n bigint NOT NULL,
    limited bigint NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    total_us bigint NOT NULL,
    queue_us bigint NOT NULL,
    db_us bigint NOT NULL,
    max_us bigint NOT NULL,
    sketch bytea NOT NULL,
    PRIMARY KEY (level, dim, consumer, route, bucket, class)
) PARTITION BY LIST (level);
COMMENT ON COLUMN sums.level IS '0: buckets of a minute, 1: of an hour, 2: of a day (UTC).';
COMMENT ON COLUMN sums.dim IS '0: all requests, 1: by route, 2: by consumer, 3: by both; what is not told apart is 0.';
COMMENT ON COLUMN sums.class IS 'First digit of the status.';
CREATE TABLE sums_minute PARTITION OF sums FOR VALUES IN (0) PARTITION BY RANGE (bucket);
CREATE TABLE sums_hour PARTITION OF sums FOR VALUES IN (1) PARTITION BY RANGE (bucket);
CREATE TABLE sums_day PARTITION OF sums FOR VALUES IN (2) PARTITION BY RANGE (bucket);

-- What partitions there are of a table is in their names: <table>_<first day>.  Rows of a day without one go to <table>_rest.
DO $$
DECLARE parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['requests', 'losses', 'facets', 'sums_minute', 'sums_hour', 'sums_day'] LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_rest', parent);
    END LOOP;
END $$;

-- The runtime role may not create or drop tables; these functions do that for it.  Days are those of UTC.
CREATE FUNCTION part_ensure(parent regclass, first date, days int) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE part text := parent::text || '_' || to_char(first, 'YYYYMMDD');
BEGIN
    IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('analytics_partitions:' || current_schema(), 365));
    IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF;
    SET LOCAL lock_timeout = '2s';
    EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', part, parent, first::timestamptz, (first + days)::timestamptz);
    IF parent::text LIKE 'sums_%' THEN -- written to again and again while its time runs
        EXECUTE format('ALTER TABLE %I SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)', part);
    END IF;
    RETURN true;
EXCEPTION WHEN check_violation OR lock_not_available OR invalid_object_definition THEN RETURN false;
END $$;

-- Drops the partitions that end before the day, and of the rest what is older.
CREATE FUNCTION part_expire(parent regclass, day date, days int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE part text; n int := 0; col text := CASE WHEN parent::text IN ('requests', 'losses') THEN 'at' ELSE 'bucket' END;
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

CREATE VIEW requests_shown AS SELECT l.id, l.at, r.program, r.method, r.template AS route, l.status, l.total_us, l.queue_us, l.db_us,
    l.bytes_in, l.bytes_out, l.key_id, l.client_id, l.user_id,
    CASE WHEN l.key_id IS NOT NULL THEN 'key' WHEN l.client_id IS NOT NULL THEN 'client' WHEN l.session THEN 'session' ELSE 'anonymous' END AS consumer,
    l.request_id, lpad(to_hex(l.network), 16, '0') AS network, l.agent, l.country, l.problem
FROM requests l JOIN routes r ON r.id = l.route;

-- What is usual, and what is not.
CREATE TABLE baselines (
    signal text NOT NULL,
    dim smallint NOT NULL,
    ref int NOT NULL,
    slot smallint NOT NULL,
    mean double precision NOT NULL,
    dev double precision NOT NULL,
    weight int NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dim, ref, signal, slot)
) WITH (fillfactor = 70);
COMMENT ON TABLE baselines IS 'slot 0-167: hour of the week, Monday 00h UTC first; 168-191: hour of the day.';
CREATE TABLE watched (
    signal text NOT NULL,
    dim smallint NOT NULL,
    ref int NOT NULL,
    hot smallint NOT NULL DEFAULT 0,
    calm smallint NOT NULL DEFAULT 0,
    anomaly_id bigint,
    factor double precision NOT NULL DEFAULT 1,
    muted_until timestamptz,
    PRIMARY KEY (dim, ref, signal)
);
COMMENT ON TABLE watched IS 'How long a signal has been out of bounds, what was told of it, and what people said about that.';
CREATE TABLE seen (
    consumer int NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    first_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, kind, value)
);
CREATE TABLE detector (id int PRIMARY KEY DEFAULT 1 CHECK (id = 1), done_until timestamptz);
INSERT INTO detector VALUES (1, NULL);

CREATE TABLE anomalies (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    signal text NOT NULL,
    subject text NOT NULL,
    dim smallint NOT NULL,
    ref int NOT NULL,
    key_id bigint,
    client_id bigint,
    user_id bigint,
    program text,
    method text,
    route text,
    explanation text NOT NULL,
    observed bigint NOT NULL,
    usual bigint NOT NULL,
    unit text NOT NULL,
    factor_percent bigint NOT NULL,
    slot text,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved')),
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    muted_until timestamptz,
    feedback text CHECK (feedback IN ('useful', 'false_alarm')),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX anomalies_started_idx ON anomalies (started_at, id);
CREATE INDEX anomalies_user_idx ON anomalies (user_id, started_at, id);
