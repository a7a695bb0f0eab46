-- name: tries_take write
-- Locked: no row.  $2: tries without a lock, $3: longest lock, $4: memory, seconds.
insert into login_tries as t (key, n, last_at) values ($1, 1, clock_timestamp())
on conflict (key) do update set
    n = case when t.last_at < clock_timestamp() - $4 * interval '1 second' then 1 else t.n + 1 end,
    last_at = clock_timestamp(),
    locked_until = case when t.last_at >= clock_timestamp() - $4 * interval '1 second' and t.n + 1 >= $2::bigint
        then clock_timestamp() + least($3::bigint, power(2, least(t.n + 1 - $2::bigint, 30))) * interval '1 second' end
where t.locked_until is null or t.locked_until <= clock_timestamp()
returning n

-- name: tries_wait
select greatest(1, ceil(extract(epoch from locked_until - clock_timestamp())))::bigint from login_tries
where key = $1 and locked_until > clock_timestamp()

-- name: tries_clear write
delete from login_tries where key = $1

-- name: tries_give_back write
update login_tries set n = greatest(n - 1, 0), locked_until = null where key = $1

-- name: tries_forget write
delete from login_tries where last_at < now() - interval '1 day' and (locked_until is null or locked_until < now())
