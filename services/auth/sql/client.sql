-- name: client_find fast
-- Whatever a request of the client must be judged by; none if it was revoked.
select c.id, c.user_id, c.name, coalesce(c.website, ''), c.type, c.token_endpoint_auth_method, c.redirect_uris,
       c.grant_types, c.scopes, coalesce(c.role, 'none'), case when p.status = 'active' then p.role else 'none' end,
       c.signing_alg, c.require_pushed_requests, c.dpop_bound, array_to_string(c.allowed_networks, ','),
       c.jwks::text, c.secret_hash, coalesce(c.rate_limit, 0), coalesce(c.quota_monthly, 0),
       case when c.previous_expires_at > now() then c.previous_hash end
from oauth_clients c join people p using (user_id) where c.id = $1 and c.revoked_at is null

-- name: client_insert write
insert into oauth_clients (name, website, type, user_id, redirect_uris, grant_types, scopes, role,
    token_endpoint_auth_method, jwks, signing_alg, require_pushed_requests, dpop_bound, allowed_networks, rate_limit,
    quota_monthly, secret_hash)
values ($1, $2, $3, $4, $5::text[], $6::text[], $7::text[], $8, $9, $10::jsonb, $11, $12::boolean, $13::boolean,
    $14::text[], $15::bigint, $16::bigint, $17)
returning id

-- name: client_lock write
-- The row for a change, if the caller ($2, null: an administrator) may see it.
select version, status, scopes, type, token_endpoint_auth_method, grant_types, redirect_uris, role, jwks::text,
       coalesce(rate_limit, 0), coalesce(quota_monthly, 0)
from oauth_clients where id = $1 and ($2::bigint is null or user_id = $2::bigint) for update

-- name: client_update write
update oauth_clients set
    name = case when $2 then $3::text else name end,
    website = case when $4 then $5::text else website end,
    redirect_uris = case when $6 then $7::text[] else redirect_uris end,
    grant_types = case when $8 then $9::text[] else grant_types end,
    scopes = case when $10 then $11::text[] else scopes end,
    role = case when $12 then $13::text else role end,
    jwks = case when $14 then $15::jsonb else jwks end,
    signing_alg = case when $16 then $17::text else signing_alg end,
    require_pushed_requests = case when $18 then $19::boolean else require_pushed_requests end,
    dpop_bound = case when $20 then $21::boolean else dpop_bound end,
    allowed_networks = case when $22 then $23::text[] else allowed_networks end,
    rate_limit = case when $24 then $25::bigint else rate_limit end,
    quota_monthly = case when $26 then $27::bigint else quota_monthly end,
    version = version + 1, updated_at = now()
where id = $1

-- name: client_rotate write
-- Two secrets at most: the one before the present one goes.
update oauth_clients set previous_hash = case when $3 > 0 then secret_hash end,
    previous_expires_at = case when $3 > 0 then now() + $3 * interval '1 second' end, secret_hash = $2,
    version = version + 1, updated_at = now()
where id = $1

-- name: client_forget_previous write
update oauth_clients set previous_hash = null, previous_expires_at = null, version = version + 1, updated_at = now()
where id = $1 and previous_hash is not null

-- name: client_revoke write
update oauth_clients set status = 'revoked', revoked_at = now(), secret_hash = null, previous_hash = null,
    previous_expires_at = null, version = version + 1, updated_at = now()
where id = $1 and revoked_at is null

-- name: client_json
-- As GET shows it.
select json_build_object('id', id, 'client_id', client_id, 'name', name, 'website', website, 'type', type,
       'user', json_build_object('id', user_id), 'redirect_uris', redirect_uris, 'grant_types', grant_types,
       'scopes', scopes, 'role', role, 'token_endpoint_auth_method', token_endpoint_auth_method, 'jwks', jwks,
       'signing_alg', signing_alg, 'require_pushed_requests', require_pushed_requests, 'dpop_bound', dpop_bound,
       'allowed_networks', allowed_networks, 'rate_limit', rate_limit, 'quota_monthly', quota_monthly, 'status', status,
       'previous_expires_at', to_char(previous_expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'revoked_at', to_char(revoked_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'version', version,
       'created_at', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'updated_at', to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), user_id
from oauth_clients where id = $1
