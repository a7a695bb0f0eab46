-- name: grant_find
select id, scopes from oauth_grants where user_id = $1 and client_id = $2 and revoked_at is null

-- name: grant_put write
-- What was consented to before stays; `xmax` is 0 for a row that is new.
insert into oauth_grants as g (user_id, client_id, client_name, scopes) values ($1, $2, $3, $4::text[])
on conflict (user_id, client_id) where revoked_at is null do update
set scopes = (select array_agg(distinct s order by s) from unnest(g.scopes || excluded.scopes) s),
    client_name = excluded.client_name, version = g.version + 1, updated_at = now()
returning id, xmax = 0

-- name: grant_json
-- As GET shows it.
select json_build_object('id', id, 'user', json_build_object('id', user_id),
       'client', json_build_object('id', client_id), 'client_name', client_name, 'scopes', scopes, 'status', status,
       'revoked_at', to_char(revoked_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'version', version,
       'created_at', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       'updated_at', to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), user_id
from oauth_grants where id = $1

-- name: grant_lock write
select version, status, scopes from oauth_grants
where id = $1 and ($2::bigint is null or user_id = $2::bigint) for update

-- name: grant_update write
update oauth_grants set scopes = $2::text[], version = version + 1, updated_at = now() where id = $1

-- name: grant_revoke write
update oauth_grants set status = 'revoked', revoked_at = now(), version = version + 1, updated_at = now()
where id = $1 and revoked_at is null

-- name: grant_families
select id from oauth_families where grant_id = $1 and revoked_at is null

-- name: grant_families_revoke write
update oauth_families set revoked_at = now() where grant_id = $1 and revoked_at is null

-- name: grant_families_ended
-- Those whose access tokens may still be good but for this.
select id from oauth_families where grant_id = $1 and revoked_at > now() - interval '1 hour'

-- name: family_insert write
insert into oauth_families (grant_id, client_id, user_id, scopes, resources, jkt, code_hash, code_expires_at,
    redirect_uri, redirect_given, challenge)
values ($1, $2, $3, $4::text[], $5::text[], $6, $7, now() + $8 * interval '1 second', $9, $10, $11)
returning id

-- name: family_by_code write
-- What the code stands for, locked: the first to come uses it.
select f.id, f.grant_id, f.client_id, f.user_id, f.scopes, f.resources, f.jkt, f.redirect_uri, f.redirect_given,
       f.challenge, f.code_used_at is not null, f.code_expires_at <= now(), f.revoked_at is not null,
       case when p.status = 'active' then p.role else 'none' end, g.scopes, g.revoked_at is not null
from oauth_families f join people p using (user_id) join oauth_grants g on g.id = f.grant_id
where f.code_hash = $1 for update of f

-- name: family_use_code write
-- The refresh tokens of a public client are bound to the key that it first proves (RFC 9449 §5).
update oauth_families set code_used_at = now(), jkt = coalesce(jkt, $2) where id = $1

-- name: family_revoke write
update oauth_families set revoked_at = now() where id = $1 and revoked_at is null

-- name: refresh_insert write
insert into oauth_refresh (family_id, hash, expires_at) values ($1, $2, now() + $3 * interval '1 second')

-- name: refresh_lock write
-- The family first, then the token, so that all that is done to a family is done in turn.
select f.id, f.grant_id, f.client_id, f.user_id, f.scopes, f.resources, f.jkt, f.redirect_uri, f.redirect_given,
       f.challenge, r.used_at is not null, r.expires_at <= now(), f.revoked_at is not null,
       case when p.status = 'active' then p.role else 'none' end, g.scopes, g.revoked_at is not null,
       r.id, r.successor, r.used_at > now() - $2 * interval '1 second'
from oauth_refresh r join oauth_families f on f.id = r.family_id join people p using (user_id)
join oauth_grants g on g.id = f.grant_id
where r.hash = $1 for update of f, r

-- name: refresh_use write
update oauth_refresh set used_at = now(), successor = $2 where id = $1

-- name: refresh_find
-- For introspection and revocation.
select f.id, f.client_id, f.user_id, f.scopes, f.resources, (extract(epoch from r.created_at))::bigint,
       (extract(epoch from r.expires_at))::bigint,
       r.used_at is null and r.expires_at > now() and f.revoked_at is null and g.revoked_at is null
           and p.status = 'active', f.grant_id, f.jkt
from oauth_refresh r join oauth_families f on f.id = r.family_id join people p using (user_id)
join oauth_grants g on g.id = f.grant_id where r.hash = $1

-- name: pushed_insert write
insert into oauth_pushed (hash, client_id, params, expires_at)
values ($1, $2, $3, now() + $4 * interval '1 second')

-- name: pushed_find
select params from oauth_pushed where hash = $1 and client_id = $2 and used_at is null and expires_at > now()

-- name: pushed_use write
update oauth_pushed set used_at = now() where hash = $1 and used_at is null

-- name: seen_put write
-- No row: it was seen before.
insert into oauth_seen (hash, expires_at) values ($1, to_timestamp($2::bigint)) on conflict do nothing returning hash

-- name: oauth_forget_pushed write
delete from oauth_pushed where hash in (select hash from oauth_pushed where expires_at < now() - interval '1 hour' limit 5000)

-- name: oauth_forget_seen write
delete from oauth_seen where hash in (select hash from oauth_seen where expires_at < now() limit 5000)

-- name: oauth_forget_families write
-- Those whose last refresh token is over for a month, or that never had one.
delete from oauth_families where id in (select f.id from oauth_families f
    where f.created_at < now() - interval '1 month' and not exists (select 1 from oauth_refresh r
        where r.family_id = f.id and r.expires_at > now() - interval '1 month') limit 1000)
