-- The key of before a rotation is accepted until its time.  warned_days: 30, 7 or 1, what was last told of the end.
ALTER TABLE api_keys ADD COLUMN previous_hash text CHECK (previous_hash ~ '^[0-9a-f]{64}$'),
    ADD COLUMN previous_expires_at timestamptz,
    ADD COLUMN rotated_at timestamptz,
    ADD COLUMN warned_days int CHECK (warned_days IN (30, 7, 1)),
    ADD CONSTRAINT api_keys_previous_check CHECK ((previous_hash IS NULL) = (previous_expires_at IS NULL));
-- Those that are near their end already are not told of it a second time.
UPDATE api_keys SET warned_days = CASE WHEN expires_at <= now() + interval '1 day' THEN 1
    WHEN expires_at <= now() + interval '7 days' THEN 7 WHEN expires_at <= now() + interval '30 days' THEN 30 END
WHERE expires_at IS NOT NULL;
