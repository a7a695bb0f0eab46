-- What was revoked, for as long as a program may not have it from elsewhere: keys and people 30 days (they also travel on
-- auth.keys), what access tokens come from an hour (they live ten minutes).  Redis is the faster copy of this table.
CREATE TABLE denials (
    kind text NOT NULL CHECK (kind IN ('key', 'user', 'client', 'family', 'tokens', 'jti', 'session')),
    id bigint NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX denials_at_idx ON denials (at_ms);
