-- Requests that are worked off after they were answered (Prefer: respond-async).
CREATE TABLE operations (
    id uuid PRIMARY KEY,
    owner text NOT NULL,
    entity text NOT NULL,
    request text NOT NULL,
    options text NOT NULL,
    credential text NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'succeeded', 'failed')),
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    http_status int,
    result text,
    request_id text,
    trace text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz
);
CREATE INDEX operations_due_idx ON operations (due_at) WHERE status IN ('queued', 'running');
CREATE INDEX operations_owner_idx ON operations (owner) WHERE status IN ('queued', 'running');
CREATE INDEX operations_expires_at_idx ON operations (expires_at);
