-- Clients have limits as keys have.
ALTER TABLE oauth_clients
    ADD COLUMN rate_limit bigint CHECK (rate_limit BETWEEN 1 AND 100000000),
    ADD COLUMN quota_monthly bigint CHECK (quota_monthly BETWEEN 1 AND 1000000000000);

ALTER TABLE quota_use DROP CONSTRAINT quota_use_key_id_fkey, DROP CONSTRAINT quota_use_pkey,
    ADD COLUMN client boolean NOT NULL DEFAULT false;
ALTER TABLE quota_use RENAME COLUMN key_id TO holder_id;
ALTER TABLE quota_use ADD PRIMARY KEY (month, client, holder_id);
DROP INDEX quota_use_key_idx;

CREATE VIEW quota_holders AS
SELECT false AS client, id, name, user_id, status = 'active' AS active, rate_limit, quota_monthly, last_used_at FROM api_keys
UNION ALL
SELECT true, id, name, user_id, status = 'active', rate_limit, quota_monthly, null FROM oauth_clients;
