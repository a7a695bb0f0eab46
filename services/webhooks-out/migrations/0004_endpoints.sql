-- Endpoints say what they hear, in which form, how it is sent and when it is tried again; secrets have a history; the log
-- holds the whole exchange and is searched by what people know of a delivery.
ALTER TABLE endpoints DROP CONSTRAINT endpoints_status_check;
ALTER TABLE endpoints
    ADD CONSTRAINT endpoints_status_check CHECK (status IN ('active', 'paused', 'disabled')),
    ADD COLUMN filter jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN fields text[] NOT NULL DEFAULT '{}',
    ADD COLUMN payload text NOT NULL DEFAULT 'full' CONSTRAINT endpoints_payload_check CHECK (payload IN ('full', 'thin')),
    ADD COLUMN format text NOT NULL DEFAULT 'standard'
        CONSTRAINT endpoints_format_check CHECK (format IN ('standard', 'cloudevents', 'cloudevents_binary')),
    ADD COLUMN headers jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN rate_limit int CONSTRAINT endpoints_rate_limit_check CHECK (rate_limit > 0),
    ADD COLUMN ordered boolean NOT NULL DEFAULT false,
    ADD COLUMN order_timeout_s int CONSTRAINT endpoints_order_timeout_check CHECK (order_timeout_s > 0),
    ADD COLUMN batch jsonb,
    ADD COLUMN auth jsonb NOT NULL DEFAULT '{"type":"none"}',
    ADD COLUMN auth_sealed text,
    ADD COLUMN retry_schedule jsonb,
    ADD COLUMN while_paused text NOT NULL DEFAULT 'hold'
        CONSTRAINT endpoints_while_paused_check CHECK (while_paused IN ('hold', 'skip')),
    ADD COLUMN ed25519 boolean NOT NULL DEFAULT false,
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN disabled_reason text,
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN failure_percent int NOT NULL DEFAULT 0,
    ADD COLUMN allowed_at timestamptz,
    ADD COLUMN allowed_rate int;
COMMENT ON COLUMN endpoints.auth IS 'What may be shown of it; with its secrets it is auth_sealed, in the context endpoints.auth:<id>.';
COMMENT ON COLUMN endpoints.failing_since IS 'First failure since the last success; written when that changes only.';
COMMENT ON COLUMN endpoints.failure_percent IS 'The last of 50, 70, 90 and 100 % of the failure budget that was told of.';
COMMENT ON COLUMN endpoints.allowed_at IS 'When the receiver agreed to CloudEvents at this URL (the OPTIONS handshake).';

CREATE TABLE secrets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id bigint NOT NULL,
    kind text NOT NULL CONSTRAINT secrets_kind_check CHECK (kind IN ('hmac', 'ed25519')),
    sealed text,
    public_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN secrets.sealed IS 'In the context endpoints.secret:<endpoint id>; wiped when it has ended.';
COMMENT ON COLUMN secrets.expires_at IS 'Null: the current one.';
CREATE UNIQUE INDEX secrets_current_idx ON secrets (endpoint_id, kind) WHERE expires_at IS NULL;
CREATE INDEX secrets_endpoint_idx ON secrets (endpoint_id, id);
CREATE INDEX secrets_ended_idx ON secrets (expires_at) WHERE sealed IS NOT NULL AND expires_at IS NOT NULL;
INSERT INTO secrets (endpoint_id, kind, sealed, created_at)
SELECT id, 'hmac', secret, created_at FROM endpoints WHERE secret IS NOT NULL ORDER BY id;
ALTER TABLE endpoints DROP CONSTRAINT endpoints_secret_check;
ALTER TABLE endpoints DROP COLUMN secret;

ALTER TABLE deliveries
    DROP CONSTRAINT deliveries_status_check,
    DROP CONSTRAINT deliveries_trigger_check;
ALTER TABLE deliveries
    ADD CONSTRAINT deliveries_status_check
        CHECK (status IN ('pending', 'failed', 'delivered', 'dead', 'canceled', 'skipped', 'batched')),
    ADD CONSTRAINT deliveries_trigger_check CHECK (trigger IN ('event', 'resend', 'recover', 'replay', 'test')),
    ADD COLUMN first_attempt_at timestamptz,
    ADD COLUMN batch_id uuid;
COMMENT ON COLUMN deliveries.batch_id IS 'The delivery (of event batch) that carries it; its status is then batched until that ends.';
CREATE INDEX deliveries_event_id_idx ON deliveries (('evt_' || event_id::text));
CREATE INDEX deliveries_entity_idx ON deliveries (entity, created_at, id);
CREATE INDEX deliveries_event_idx ON deliveries (event, created_at, id);
CREATE INDEX deliveries_status_idx ON deliveries (status, created_at, id) WHERE status IN ('failed', 'dead', 'canceled', 'skipped');
CREATE INDEX deliveries_trouble_idx ON deliveries (endpoint_id, status, created_at, id)
    WHERE status IN ('failed', 'dead', 'canceled', 'skipped');
CREATE INDEX deliveries_batch_idx ON deliveries (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX deliveries_batches_idx ON deliveries (endpoint_id, next_attempt_at, seq)
    WHERE status IN ('pending', 'failed') AND event = 'batch';

ALTER TABLE attempts
    ADD COLUMN url text,
    ADD COLUMN request_headers text,
    ADD COLUMN response_headers text,
    ADD COLUMN dns_ms int,
    ADD COLUMN connect_ms int,
    ADD COLUMN tls_ms int,
    ADD COLUMN first_byte_ms int;
COMMENT ON COLUMN attempts.request_headers IS 'Name: value lines as sent, credentials masked.';

DROP VIEW deliveries_shown;
CREATE VIEW deliveries_shown AS SELECT id, endpoint_id, user_id, 'evt_' || event_id::text AS event_id, event, entity, trigger,
    status, batch_id, attempts, response_code, latency_ms, next_attempt_at, last_error, created_at, updated_at FROM deliveries;

-- Endpoints that are there; nobody asks for a secret.
DROP VIEW endpoints_shown;
CREATE VIEW endpoints_shown AS SELECT id, user_id, url, events, filter, fields, payload, format, description, headers, auth,
    rate_limit, max_in_flight, ordered, order_timeout_s, batch, retry_schedule, while_paused, ed25519,
    (SELECT s.public_key FROM secrets s WHERE s.endpoint_id = e.id AND s.kind = 'ed25519' AND s.expires_at IS NULL) AS public_key,
    status, disabled_at, disabled_reason, failing_since, failure_percent, version, created_at, updated_at
FROM endpoints e WHERE deleted_at IS NULL;

-- One as events and answers tell of it.
CREATE FUNCTION endpoint_json(e endpoints) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('id', e.id, 'user', json_build_object('id', e.user_id), 'url', e.url, 'events', e.events,
        'filter', e.filter, 'fields', e.fields, 'payload', e.payload, 'format', e.format, 'description', e.description,
        'headers', e.headers, 'auth', e.auth, 'rate_limit', e.rate_limit, 'max_in_flight', e.max_in_flight,
        'ordered', e.ordered, 'order_timeout_s', e.order_timeout_s, 'batch', e.batch, 'retry_schedule', e.retry_schedule,
        'while_paused', e.while_paused, 'ed25519', e.ed25519,
        'public_key', (SELECT s.public_key FROM secrets s WHERE s.endpoint_id = e.id AND s.kind = 'ed25519' AND s.expires_at IS NULL),
        'status', e.status,
        'disabled_at', to_char(e.disabled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'disabled_reason', e.disabled_reason,
        'failing_since', to_char(e.failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'failure_percent', e.failure_percent, 'version', e.version,
        'created_at', to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'updated_at', to_char(e.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
$$;
