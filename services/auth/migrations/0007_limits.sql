-- What a key may use, and what of its month it has used.
ALTER TABLE api_keys
    ADD COLUMN rate_limit bigint CHECK (rate_limit BETWEEN 1 AND 100000000),
    ADD COLUMN quota_monthly bigint CHECK (quota_monthly BETWEEN 1 AND 1000000000000);

-- Redis counts; this is what is left of it if Redis loses its data, and what the warnings go by.
CREATE TABLE quota_use (
    key_id bigint NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    month integer NOT NULL CHECK (month BETWEEN 197001 AND 999912),
    used bigint NOT NULL CHECK (used >= 0),
    warned_quota bigint,   -- the quota that was warned of at 80 %
    exceeded_quota bigint, -- the quota that was said to be used up
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (month, key_id)
);
CREATE INDEX quota_use_key_idx ON quota_use (key_id, month);
