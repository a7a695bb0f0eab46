-- name: quota_lock
-- Keys that still are, in the order of their ids, so that two batches do not wait for each other.
select id from api_keys where id = any($1::bigint[]) order by id for update

-- name: quota_put write
-- Programs overtake each other: the greatest is the latest.  Returns the keys that are to be warned of, or told of, now.
with n as (
    select key_id, month, max(used) as used, bool_or(exceeded) as exceeded
    from unnest($1::bigint[], $2::int[], $3::bigint[], $4::boolean[]) as u(key_id, month, used, exceeded)
    join api_keys k on k.id = u.key_id group by 1, 2),
was as (
    select n.key_id, n.month, n.exceeded, k.quota_monthly as quota, greatest(n.used, coalesce(q.used, 0)) as used,
           coalesce(q.warned_quota, 0) as warned, coalesce(q.exceeded_quota, 0) as told
    from n join api_keys k on k.id = n.key_id left join quota_use q on q.key_id = n.key_id and q.month = n.month),
due as (
    select *, coalesce(used * 100 >= quota * 80 and warned < quota, false) as warn,
           coalesce((used >= quota or (exceeded and used * 100 >= quota * 80)) and told < quota, false) as tell from was)
insert into quota_use as q (key_id, month, used, warned_quota, exceeded_quota)
select key_id, month, used, case when warn then quota end, case when tell then quota end from due
on conflict (month, key_id) do update set used = excluded.used,
    warned_quota = coalesce(excluded.warned_quota, q.warned_quota),
    exceeded_quota = coalesce(excluded.exceeded_quota, q.exceeded_quota), updated_at = now()
returning key_id, month, used,
    (select warn from due d where d.key_id = q.key_id and d.month = q.month),
    (select tell from due d where d.key_id = q.key_id and d.month = q.month)

-- name: quota_month
-- What Redis is given back, by key.
select key_id, used from quota_use where month = $1 and key_id > $2 order by key_id limit $3

-- name: quota_forget write
delete from quota_use where month < to_char(now() - interval '13 months', 'YYYYMM')::int
