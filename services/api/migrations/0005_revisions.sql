-- What a row was before each change of it: written by the statement that changes, read by …/revisions.
CREATE TABLE revisions (
    entity text NOT NULL,
    row_id bigint NOT NULL,
    version bigint NOT NULL,
    at timestamptz NOT NULL,
    action text NOT NULL CHECK (action IN ('updated', 'deleted', 'restored')),
    actor text,
    request_id text,
    changed text[] NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (entity, row_id, version)
);
-- Old ones are dropped oldest first.
CREATE INDEX revisions_at_idx ON revisions (at);
