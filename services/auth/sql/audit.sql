-- name: audit_insert write
insert into audit (type, actor, user_id, subject, address, agent, request_id, data)
values ($1, $2, $3, $4, $5, left($6, 200), $7, coalesce($8::jsonb, '{}'))
returning id, to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), data::text, left($6, 200)

-- name: audit_lock write
select pg_try_advisory_xact_lock(hashtextextended('auth.audit', 0))

-- name: audit_last
select seq, hash from audit_chain order by seq desc limit 1

-- name: audit_unchained
-- Ids commit out of order, so those a little behind are looked for too ($1: how far).
select a.id, to_char(a.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), a.type, a.actor, a.user_id,
       a.subject, a.address, a.agent, a.request_id, a.data::text
from audit a where a.id > coalesce((select max(audit_id) from audit_chain), 0) - $1::bigint
    and not exists (select from audit_chain c where c.audit_id = a.id)
order by a.id limit $2

-- name: audit_chain_insert write
insert into audit_chain (seq, audit_id, prev_hash, hash)
select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[])

-- name: audit_walk
-- The chain from `$1` on with what it holds; null where a row is gone.
select a.id, to_char(a.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), a.type, a.actor, a.user_id,
       a.subject, a.address, a.agent, a.request_id, a.data::text, c.seq, c.audit_id, c.prev_hash, c.hash,
       (extract(epoch from a.created_at))::bigint
from audit_chain c left join audit a on a.id = c.audit_id where c.seq > $1 order by c.seq limit $2

-- name: audit_rest
-- What is not chained: how many, and the first that is older than `$1` (epoch seconds) although it is not in the chain.
select count(*), min(a.id) filter (where extract(epoch from a.created_at) < $1::bigint)
from audit a where not exists (select from audit_chain c where c.audit_id = a.id)

-- name: audit_seen_put write
-- The rows that are the first of their credential, network and hour, with whose it is; of refusals $5 an hour at most.
with u as (select distinct s, n, d, date_trunc('hour', t) as hour
        from unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[]) as u(s, n, t, d)),
new as (select *, row_number() over (partition by s, d, hour order by n) as k from u
        where not exists (select from audit_seen a where a.hour = u.hour and a.subject = u.s and a.denied = u.d and a.network = u.n)),
fresh as (insert into audit_seen (subject, network, hour, denied)
    select s, n, hour, d from new where not d
        or k + (select count(*) from audit_seen a where a.hour = new.hour and a.subject = new.s and a.denied) <= $5
    on conflict do nothing returning subject, network, denied),
named as (select *, split_part(subject, ':', 1) as kind, split_part(subject, ':', 2)::bigint as id from fresh)
select distinct f.subject, f.network, f.denied, p.user_id from named f
left join api_keys k on f.kind = 'key' and k.id = f.id
left join oauth_clients c on f.kind = 'client' and c.id = f.id
join people p on p.user_id = coalesce(k.user_id, c.user_id, case when f.kind = 'user' then f.id end)

-- name: audit_seen_forget write
delete from audit_seen where hour < now() - interval '2 days'
