-- name: policy_get
-- As GET shows it; version, networks, microseconds for the programs, roles.
select json_build_object('allowed_networks', allowed_networks, 'totp_roles', totp_roles, 'version', version,
           'updated_at', to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
       version, array_to_string(allowed_networks, ','), (extract(epoch from updated_at) * 1000000)::bigint, totp_roles
from policy

-- name: policy_lock write
select version from policy for update

-- name: policy_update write
update policy set allowed_networks = case when $1 then $2::text[] else allowed_networks end,
    totp_roles = case when $3 then $4::text[] else totp_roles end, version = version + 1, updated_at = clock_timestamp()
