-- Exports beside bulks: what an operation does, how far it is, and the pages it has written.  A user's operations run one
-- at a time, wherever they are worked on.
ALTER TABLE operations
    ADD COLUMN kind text NOT NULL DEFAULT 'bulk' CHECK (kind IN ('bulk', 'export')),
    ADD COLUMN tries int NOT NULL DEFAULT 0,
    ADD COLUMN done bigint NOT NULL DEFAULT 0,
    ADD COLUMN total bigint,
    ADD COLUMN place text,
    DROP CONSTRAINT operations_status_check,
    ADD CONSTRAINT operations_status_check CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'));
UPDATE operations SET status = 'queued' WHERE status = 'running';
CREATE UNIQUE INDEX operations_running_key ON operations (owner) WHERE status = 'running';
CREATE TABLE operation_pages (
    operation uuid NOT NULL REFERENCES operations ON DELETE CASCADE,
    seq int NOT NULL,
    part int NOT NULL,
    bytes bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (operation, seq)
);
