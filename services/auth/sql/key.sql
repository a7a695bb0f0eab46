-- name: key_next_id
-- The id is part of the key, so it is taken before the row is written.
select nextval(pg_get_serial_sequence('api_keys', 'id'))

-- name: key_insert write
insert into api_keys (id, name, device, user_id, prefix, hash, scopes, expires_at, allowed_networks, rate_limit,
    quota_monthly)
values ($1, $2, $3, $4, $5, $6, $7::text[], $8::timestamptz, coalesce($9::text[], '{}'), $10, $11)

-- name: key_lock write
-- The row for a change, if the caller ($2, null: an administrator) may see it.
select version, status, scopes, user_id, coalesce(rate_limit, 0), coalesce(quota_monthly, 0), sandbox from api_keys
where id = $1 and ($2::bigint is null or user_id = $2::bigint) for update

-- name: key_update write
-- Returns the names of what changes; no row, and nothing written, if nothing does.  The row is locked already.
with n as (
    select id, array_remove(array[
        case when $2 and $3::text is distinct from name then 'name' end,
        case when $4 and $5::text is distinct from device then 'device' end,
        case when $6 and $7::text[] is distinct from scopes then 'scopes' end,
        case when $8 and $9::timestamptz is distinct from expires_at then 'expires_at' end,
        case when $10 and coalesce($11::text[], '{}') is distinct from allowed_networks then 'allowed_networks' end,
        case when $12 and $13::bigint is distinct from rate_limit then 'rate_limit' end,
        case when $14 and $15::bigint is distinct from quota_monthly then 'quota_monthly' end],
        null) as changed
    from api_keys where id = $1)
update api_keys k set
    name = case when $2 then $3::text else name end,
    device = case when $4 then $5::text else device end,
    scopes = case when $6 then $7::text[] else scopes end,
    expires_at = case when $8 then $9::timestamptz else expires_at end,
    allowed_networks = case when $10 then coalesce($11::text[], '{}') else allowed_networks end,
    rate_limit = case when $12 then $13::bigint else rate_limit end,
    quota_monthly = case when $14 then $15::bigint else quota_monthly end,
    status = case when $8 then 'active' else status end,
    version = version + 1, updated_at = now()
from n where k.id = n.id and n.changed <> '{}'
returning array_to_json(n.changed)

-- name: key_revoke write
update api_keys set status = 'revoked', revoked_at = now(), version = version + 1, updated_at = now()
where id = $1 and revoked_at is null

-- name: key_revoke_user write
update api_keys set status = 'revoked', revoked_at = now(), version = version + 1, updated_at = now()
where user_id = $1 and revoked_at is null returning id

-- name: key_expire write
update api_keys set status = 'expired', version = version + 1, updated_at = now()
where id in (select id from api_keys where status = 'active' and expires_at <= now()
             order by expires_at limit $1 for update skip locked)
returning id

-- name: key_state write
-- What travels on auth.keys.  The locks make clock_timestamp() grow with each state of a key.
select k.id, k.user_id, k.hash, case when p.status = 'active' then p.role else 'none' end, k.name, k.scopes,
       coalesce((extract(epoch from k.expires_at) * 1000000)::bigint, 0),
       (extract(epoch from clock_timestamp()) * 1000000)::bigint,
       k.revoked_at is not null, array_to_string(k.allowed_networks, ','), coalesce(k.rate_limit, 0),
       coalesce(k.quota_monthly, 0), coalesce(k.previous_hash, ''),
       coalesce((extract(epoch from k.previous_expires_at) * 1000000)::bigint, 0), k.sandbox
from api_keys k join people p using (user_id) where k.id = $1 for update of k

-- name: key_of_user write
select id from api_keys where user_id = $1 and revoked_at is null order by id for update

-- name: key_states
-- The snapshot, by id.  now() begins before any change that is not seen here.
select k.id, k.user_id, k.hash, case when p.status = 'active' then p.role else 'none' end, k.name, k.scopes,
       coalesce((extract(epoch from k.expires_at) * 1000000)::bigint, 0),
       (extract(epoch from greatest(k.updated_at, p.updated_at)) * 1000000)::bigint,
       k.revoked_at is not null, array_to_string(k.allowed_networks, ','), coalesce(k.rate_limit, 0),
       coalesce(k.quota_monthly, 0), coalesce(k.previous_hash, ''),
       coalesce((extract(epoch from k.previous_expires_at) * 1000000)::bigint, 0), k.sandbox
from api_keys k join people p using (user_id)
where k.id > $1 and k.id <= $2 and ($3 or k.revoked_at is null) order by k.id limit $4

-- name: key_json
-- As GET shows it.
select json_build_object('id', id, 'name', name, 'device', device, 'user', json_build_object('id', user_id),
       'prefix', prefix, 'scopes', scopes, 'status', status,
       'expires_at', to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'previous_expires_at', to_char(previous_expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'rotated_at', to_char(rotated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'allowed_networks', allowed_networks, 'sandbox', sandbox, 'rate_limit', rate_limit, 'quota_monthly', quota_monthly,
       'last_used_at', to_char(last_used_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'last_used_address', last_used_address, 'last_used_agent', last_used_agent,
       'revoked_at', to_char(revoked_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'version', version,
       'created_at', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'updated_at', to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), user_id
from api_keys where id = $1

-- name: key_used write
-- Id 0: somebody was refused.  Neither version nor updated_at: nobody changed the key.  Batches of several programs overtake each other.
update api_keys k set last_used_at = u.at, last_used_address = nullif(u.address, ''), last_used_agent = nullif(u.agent, '')
from (select distinct on (id) id, at, address, agent
      from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[]) as n(id, at, address, agent)
      order by id, at desc) u
where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)

-- name: key_bootstrap
select id from api_keys where user_id = $1 and name = 'bootstrap' and revoked_at is null limit 1
