-- A delivery costs ten index entries; an event for fifty receivers that hang would make the one that answers wait for five hundred.
-- What would only wait is a row an event here, and becomes deliveries between the events.
CREATE TABLE deferred (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    event text NOT NULL,
    entity text NOT NULL,
    event_at timestamptz NOT NULL,
    trace text,
    request_id text,
    body text NOT NULL,
    delivery_ids uuid[] NOT NULL,
    endpoint_ids bigint[] NOT NULL,
    user_ids bigint[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE deferred IS 'Deliveries to be: of an event in one form of words, for endpoints that cannot be sent to now.';
