-- name: login_find
-- Names and addresses are unique among users who are not deleted; the newest row holds while events are on their way.
select p.user_id, p.role, p.username, c.password_phc
from people p join credentials c using (user_id)
where p.status = 'active' and (lower(p.username) = lower($1) or lower(p.email) = lower($1))
order by (lower(p.username) = lower($1)) desc nulls last, p.updated_at desc limit 1

-- name: session_insert write
insert into sessions (hash, user_id, address, agent, expires_at)
values ($1, $2, $3, left($4, 200), now() + $5 * interval '1 hour')

-- name: session_get
select s.id, s.user_id, p.role, coalesce(p.username, ''), (extract(epoch from s.created_at) * 1000000)::bigint
from sessions s join people p using (user_id)
where s.hash = $1 and s.revoked_at is null and s.expires_at > now() and p.status = 'active'

-- name: session_revoke write
update sessions set revoked_at = now() where hash = $1 and revoked_at is null

-- name: session_forget write
delete from sessions where id in (select id from sessions where expires_at < now() - interval '30 days' limit 1000)
