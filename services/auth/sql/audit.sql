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
-- The rows that are the first of their key, network and hour, with whose key it is.
with fresh as (insert into audit_seen (key_id, network, hour)
    select k, n, date_trunc('hour', t) from unnest($1::bigint[], $2::text[], $3::timestamptz[]) as u(k, n, t)
    on conflict do nothing returning key_id, network)
select distinct f.key_id, f.network, k.user_id from fresh f join api_keys k on k.id = abs(f.key_id)

-- name: audit_seen_forget write
delete from audit_seen where hour < now() - interval '2 days'
