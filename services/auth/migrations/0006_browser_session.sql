-- What a page greets people by.
ALTER TABLE people ADD COLUMN display_name text;

-- A signed-in browser has two cookies: `hash` is of the one that /oauth knows it by, `api_hash` of the one that the API
-- takes (common/kit/session.h), null until a page of ours asked for it.
ALTER TABLE sessions ADD COLUMN api_hash text UNIQUE CHECK (api_hash ~ '^[0-9a-f]{64}$'),
    ADD COLUMN last_seen_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_seen_address text;

-- Codes of our own pages' sign-in, which are good at /oauth/session only.
CREATE TABLE session_codes (
    hash text PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{64}$'),
    session_id bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    challenge text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX session_codes_expires_idx ON session_codes (expires_at);
CREATE INDEX session_codes_session_idx ON session_codes (session_id);
