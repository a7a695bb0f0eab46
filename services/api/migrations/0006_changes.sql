-- What …/changes reads: live rows by the indexes on (updated_at, id) that lists have, deleted ones by these, and of
-- rows that were purged what is left.
CREATE TABLE purged (
    entity text NOT NULL,
    row_id bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (entity, at, row_id)
);
CREATE INDEX users_deleted_idx ON users (updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX posts_deleted_idx ON posts (updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX pages_deleted_idx ON pages (updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX media_deleted_idx ON media (updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX experts_deleted_idx ON experts (updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX companies_deleted_idx ON companies (updated_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX events_deleted_idx ON events (updated_at, id) WHERE deleted_at IS NOT NULL;
