-- Keys for trying: they reach data of their own only, and a person has one at a time.
ALTER TABLE api_keys ADD COLUMN sandbox boolean NOT NULL DEFAULT false;
CREATE INDEX api_keys_sandbox_idx ON api_keys (user_id) WHERE sandbox AND revoked_at IS NULL;
