-- Who did what to credentials and sign-ins: rows are inserted with what they tell of, and never changed.  Their order and
-- their bytes are held by audit_chain, whose rows one chainer adds (services/auth/audit.h).
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type text NOT NULL,
    actor text,
    user_id bigint,
    subject text NOT NULL,
    address text,
    agent text,
    request_id text,
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_created_at_idx ON audit (created_at, id);
CREATE INDEX audit_user_idx ON audit (user_id, id);
CREATE INDEX audit_type_idx ON audit (type, id);
CREATE INDEX audit_subject_idx ON audit (subject, id);

CREATE TABLE audit_chain (
    seq bigint PRIMARY KEY,
    audit_id bigint NOT NULL UNIQUE REFERENCES audit,
    prev_hash text NOT NULL CHECK (prev_hash ~ '^[0-9a-f]{64}$'),
    hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    chained_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

-- The role that serves may add and read, nothing else.
DO $$
DECLARE r name;
BEGIN
    FOR r IN SELECT DISTINCT grantee FROM information_schema.role_table_grants
             WHERE table_schema = current_schema() AND table_name = 'audit' AND grantee <> current_user
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON audit, audit_chain FROM %I', r);
    END LOOP;
END $$;

-- First use of a key from a network in an hour is an entry of the log; this says which were seen.
CREATE TABLE audit_seen (
    key_id bigint NOT NULL,
    network text NOT NULL,
    hour timestamptz NOT NULL,
    PRIMARY KEY (hour, key_id, network)
);

-- Wrong passwords, codes and secrets, counted by account, name, network or client.
CREATE TABLE login_tries (
    key text PRIMARY KEY,
    n int NOT NULL,
    last_at timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX login_tries_last_idx ON login_tries (last_at);

-- What was sent by mail to set a password with.  The token itself is nowhere: only its SHA-256.
CREATE TABLE password_tokens (
    hash text PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{64}$'),
    user_id bigint NOT NULL REFERENCES people,
    purpose text NOT NULL CHECK (purpose IN ('invitation', 'reset')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX password_tokens_user_idx ON password_tokens (user_id);
CREATE INDEX password_tokens_expires_idx ON password_tokens (expires_at);

-- A second factor (RFC 6238).  The secret is sealed; a step counts once.
CREATE TABLE totp (
    user_id bigint PRIMARY KEY REFERENCES people,
    sealed text NOT NULL,
    last_step bigint NOT NULL DEFAULT 0,
    confirmed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE recovery_codes (
    user_id bigint NOT NULL REFERENCES people,
    hash text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);

-- Mails that were asked for, before it is looked whether there is such a person.
CREATE TABLE password_asks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    address text,
    agent text,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);
