-- name: sandbox_mark write
update api_keys set sandbox = true where id = $1

-- name: sandbox_revoke write
-- Those that the person has.
update api_keys set status = 'revoked', revoked_at = now(), version = version + 1, updated_at = now()
where user_id = $1 and sandbox and revoked_at is null returning id
