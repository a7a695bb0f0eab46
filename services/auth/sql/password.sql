-- name: person_known
select p.user_id, p.role, p.status = 'active', coalesce(p.username, ''), p.email,
       coalesce(p.display_name, p.username, ''), c.password_phc
from people p left join credentials c using (user_id) where p.user_id = $1 and p.status <> 'deleted'

-- name: person_by_name
-- As login_find, also without a password.  Who asks for a link gets it where the person was a day ago: an address is changed with
-- less than a password.
select p.user_id, p.role, p.status = 'active', coalesce(p.username, ''),
       case when p.email_changed_at > now() - interval '1 day' then coalesce(p.former_email, p.email) else p.email end,
       coalesce(p.display_name, p.username, ''), c.password_phc
from people p left join credentials c using (user_id)
where p.status = 'active' and (lower(p.username) = lower($1) or lower(p.email) = lower($1))
order by (lower(p.username) = lower($1)) desc nulls last, p.updated_at desc limit 1

-- name: person_by_token
select p.user_id, p.role, p.status = 'active', coalesce(p.username, ''), p.email,
       coalesce(p.display_name, p.username, ''), c.password_phc
from password_tokens t join people p using (user_id) left join credentials c using (user_id)
where t.hash = $1 and t.used_at is null and t.expires_at > now() and p.status = 'active'

-- name: credential_put write
insert into credentials (user_id, password_phc) values ($1, $2)
on conflict (user_id) do update set password_phc = excluded.password_phc, updated_at = now()

-- name: credential_rehash write
-- The same password under new parameters.
update credentials set password_phc = $3 where user_id = $1 and password_phc = $2

-- name: credential_drop write
delete from credentials where user_id = $1

-- name: password_token_insert write
insert into password_tokens (hash, user_id, purpose, expires_at) values ($1, $2, $3, now() + $4 * interval '1 second')

-- name: password_token_use write
update password_tokens set used_at = now() where hash = $1 and used_at is null and expires_at > now()

-- name: password_tokens_use write
-- A password was set: no other link may set another.
update password_tokens set used_at = now() where user_id = $1 and used_at is null

-- name: password_token_forget write
delete from password_tokens where expires_at < now() - interval '1 day'

-- name: sessions_end write
-- All of a person's but `$2`.
update sessions set revoked_at = now() where user_id = $1 and revoked_at is null and expires_at > now() and id <> $2
returning id

-- name: password_ask_insert write
insert into password_asks (name, address, agent, request_id) values ($1, $2, left($3, 200), $4)

-- name: password_ask_take write
delete from password_asks where id = (select id from password_asks order by id limit 1 for update skip locked)
returning name, address, agent, request_id
