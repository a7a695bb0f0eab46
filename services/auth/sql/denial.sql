-- name: denial_put write
insert into denials as d (kind, id, at_ms) select $1, u.id, $3 from unnest($2::bigint[]) as u(id)
on conflict (kind, id) do update set at_ms = greatest(d.at_ms, excluded.at_ms)

-- name: denials_since
select kind, id, at_ms from denials where at_ms >= $1 order by at_ms limit $2

-- name: denials_forget write
delete from denials where at_ms < $1 and kind not in ('key', 'user') or at_ms < $2
