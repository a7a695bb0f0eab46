-- name: totp_get write
select sealed, last_step, confirmed_at is not null from totp where user_id = $1 for update

-- name: totp_info
select t.confirmed_at is not null, to_char(t.confirmed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       (select count(*) from recovery_codes c where c.user_id = t.user_id and c.used_at is null)
from totp t where t.user_id = $1

-- name: totp_put write
-- No row: one is in force.
insert into totp as t (user_id, sealed) values ($1, $2)
on conflict (user_id) do update set sealed = excluded.sealed, last_step = 0, created_at = now()
where t.confirmed_at is null returning user_id

-- name: totp_step write
update totp set last_step = $2, confirmed_at = coalesce(confirmed_at, now()) where user_id = $1

-- name: totp_drop write
delete from totp where user_id = $1

-- name: recovery_drop write
delete from recovery_codes where user_id = $1

-- name: recovery_insert write
insert into recovery_codes (user_id, hash) select $1, unnest($2::text[])

-- name: recovery_left write
select hash from recovery_codes where user_id = $1 and used_at is null for update

-- name: recovery_use write
update recovery_codes set used_at = now() where user_id = $1 and hash = $2 and used_at is null
