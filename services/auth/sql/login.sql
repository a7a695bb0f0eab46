-- name: login_find
-- Names and addresses are unique among users who are not deleted; the newest row holds while events are on their way.
select p.user_id, p.role, p.username, c.password_phc
from people p join credentials c using (user_id)
where p.status = 'active' and (lower(p.username) = lower($1) or lower(p.email) = lower($1))
order by (lower(p.username) = lower($1)) desc nulls last, p.updated_at desc limit 1

-- name: session_insert write
insert into sessions (hash, user_id, address, agent, expires_at, last_seen_address)
values ($1, $2, $3, left($4, 200), now() + $5 * interval '1 second', $3)
returning id

-- name: session_get write
-- The session of the cookie that /oauth knows; being seen keeps it from idling out.
update sessions s set last_seen_at = now(), last_seen_address = coalesce($2, s.last_seen_address)
from people p where s.hash = $1 and p.user_id = s.user_id and s.revoked_at is null and s.expires_at > now()
    and s.last_seen_at > now() - $3 * interval '1 second' and p.status = 'active'
returning s.id, s.user_id, p.role, coalesce(p.username, ''), (extract(epoch from s.created_at) * 1000000)::bigint

-- name: session_look write
-- The same of the API's cookie, for every program.  now() is before what is read.
update sessions s set last_seen_at = now(), last_seen_address = coalesce($2, s.last_seen_address)
from people p where s.api_hash = $1 and p.user_id = s.user_id and s.revoked_at is null and s.expires_at > now()
    and s.last_seen_at > now() - $3 * interval '1 second' and p.status = 'active'
returning s.id, s.user_id, p.role,
    (extract(epoch from least(s.expires_at, now() + $3 * interval '1 second')) * 1000000)::bigint,
    (extract(epoch from now()) * 1000)::bigint

-- name: session_person
-- Who sits there, and until when.
select p.user_id, coalesce(p.username, ''), coalesce(p.display_name, p.username, ''), p.role,
       to_char(least(s.expires_at, s.last_seen_at + $2 * interval '1 second') at time zone 'UTC',
               'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
from sessions s join people p using (user_id) where s.id = $1 and s.revoked_at is null

-- name: session_revoke write
update sessions set revoked_at = now() where hash = $1 and revoked_at is null returning id

-- name: session_lock write
-- The row for a change, if the caller ($2, null: an administrator) may see it.
select id, user_id, revoked_at is not null from sessions
where id = $1 and ($2::bigint is null or user_id = $2::bigint) for update

-- name: session_end write
update sessions set revoked_at = now() where id = $1 and revoked_at is null

-- name: session_forget write
delete from sessions where id in (select id from sessions where expires_at < now() - interval '30 days' limit 1000)

-- name: session_code_insert write
insert into session_codes (hash, session_id, challenge, expires_at)
values ($1, $2, $3, now() + $4 * interval '1 second')

-- name: session_code_take write
-- What the code stands for, locked: the first to come uses it.
select c.session_id, c.challenge, c.used_at is not null, c.expires_at <= now(),
       s.revoked_at is null and s.expires_at > now() and p.status = 'active'
from session_codes c join sessions s on s.id = c.session_id join people p using (user_id)
where c.hash = $1 for update of c, s

-- name: session_code_use write
update session_codes set used_at = now() where hash = $1

-- name: session_api_hash write
update sessions set api_hash = $2, last_seen_at = now() where id = $1

-- name: session_code_forget write
delete from session_codes where hash in (select hash from session_codes where expires_at < now() - interval '1 hour' limit 5000)
