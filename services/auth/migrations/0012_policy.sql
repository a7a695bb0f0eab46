-- What holds for everybody: from where credentials are accepted at all, and who needs a second factor.
CREATE TABLE policy (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    allowed_networks text[] NOT NULL DEFAULT '{}',
    totp_roles text[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO policy DEFAULT VALUES;

-- Clients and people are refused because of where they are too.
DROP TABLE audit_seen;
CREATE TABLE audit_seen (
    subject text NOT NULL CHECK (subject ~ '^(key|client|user):[0-9]+$'),
    network text NOT NULL,
    hour timestamptz NOT NULL,
    denied boolean NOT NULL,
    PRIMARY KEY (hour, subject, denied, network)
);
