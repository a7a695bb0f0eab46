-- name: quota_lock
-- Keys that still are, in the order of their ids, so that two batches do not wait for each other.
select id from api_keys where id = any($1::bigint[]) order by id for update

-- name: quota_lock_clients
-- The same of clients.
select id from oauth_clients where id = any($1::bigint[]) order by id for update

-- name: quota_put write
-- Programs overtake each other: the greatest is the latest.  Returns who is to be warned, or told, now.
with n as (
    select client, holder_id, month, max(used) as used, bool_or(exceeded) as exceeded
    from unnest($1::bigint[], $2::int[], $3::bigint[], $4::boolean[], $5::boolean[])
        as u(holder_id, month, used, exceeded, client)
    group by 1, 2, 3),
was as (
    select n.client, n.holder_id, n.month, n.exceeded, h.quota_monthly as quota, greatest(n.used, coalesce(q.used, 0)) as used,
           coalesce(q.warned_quota, 0) as warned, coalesce(q.exceeded_quota, 0) as told
    from n join quota_holders h on h.client = n.client and h.id = n.holder_id
    left join quota_use q on q.client = n.client and q.holder_id = n.holder_id and q.month = n.month),
due as (
    select *, coalesce(used * 100 >= quota * 80 and warned < quota, false) as warn,
           coalesce((used >= quota or (exceeded and used * 100 >= quota * 80)) and told < quota, false) as tell from was)
insert into quota_use as q (client, holder_id, month, used, warned_quota, exceeded_quota)
select client, holder_id, month, used, case when warn then quota end, case when tell then quota end from due
on conflict (month, client, holder_id) do update set used = excluded.used,
    warned_quota = coalesce(excluded.warned_quota, q.warned_quota),
    exceeded_quota = coalesce(excluded.exceeded_quota, q.exceeded_quota), updated_at = now()
returning client, holder_id,
    (select warn from due d where d.client = q.client and d.holder_id = q.holder_id and d.month = q.month),
    (select tell from due d where d.client = q.client and d.holder_id = q.holder_id and d.month = q.month)

-- name: quota_month
-- What Redis is given back, by holder.
select holder_id, used from quota_use where month = $1 and holder_id > $2 and client = $4::boolean order by holder_id limit $3

-- name: quota_list
-- The nearest to their end first, then those that were used last.  $1 null: everybody's.
with h as (
    select h.*, coalesce(q.used, 0) as used from quota_holders h
    left join quota_use q on q.client = h.client and q.holder_id = h.id and q.month = to_char(now() at time zone 'UTC', 'YYYYMM')::int
    where h.active and ($1::bigint is null or h.user_id = $1::bigint)),
top as (select * from h order by used::numeric / quota_monthly desc nulls last, last_used_at desc nulls last, client, id limit $2)
select coalesce(json_agg(json_build_object('holder', case when client then 'client' else 'key' end, 'id', id, 'name', name,
           'user', json_build_object('id', user_id), 'rate_limit', rate_limit, 'quota_monthly', quota_monthly, 'used', used,
           'resets_at', to_char(date_trunc('month', now() at time zone 'UTC') + interval '1 month', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'last_used_at', to_char(last_used_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), '[]'),
       (select count(*) from h)
from top

-- name: quota_forget write
delete from quota_use where month < to_char(now() - interval '13 months', 'YYYYMM')::int
