-- name: key_rotate write
-- Two keys at most: the one before the present one goes.  Milliseconds are cut off: a time rounded up would be later than the state
-- that auth itself answers with, and no program would ever take that for the new one.
update api_keys set previous_hash = case when $3::bigint > 0 then hash end,
    previous_expires_at = case when $3::bigint > 0 then now() + $3::bigint * interval '1 second' end, hash = $2,
    rotated_at = now(), version = version + 1, updated_at = now()
where id = $1 returning floor(extract(epoch from updated_at) * 1000)::bigint

-- name: key_forget_previous write
update api_keys set previous_hash = null, previous_expires_at = null, version = version + 1, updated_at = now()
where id = $1 and previous_hash is not null returning floor(extract(epoch from updated_at) * 1000)::bigint

-- name: key_changed_ms
select floor(extract(epoch from updated_at) * 1000)::bigint from api_keys where id = $1

-- name: key_near write
-- What need not be told of a key that is made, or whose end is moved, as near as that.
update api_keys set warned_days = case when expires_at <= now() + interval '1 day' then 1
    when expires_at <= now() + interval '7 days' then 7 when expires_at <= now() + interval '30 days' then 30 end
where id = $1

-- name: key_warn write
-- One row is told of once a step, whoever runs this.
update api_keys k set warned_days = n.days from (
    select id, case when expires_at <= now() + interval '1 day' then 1
        when expires_at <= now() + interval '7 days' then 7 else 30 end as days
    from api_keys where status = 'active' and expires_at > now() and expires_at <= now() + interval '30 days'
        and (warned_days is null or warned_days > case when expires_at <= now() + interval '1 day' then 1
            when expires_at <= now() + interval '7 days' then 7 else 30 end)
    order by expires_at limit $1 for update skip locked) n
where k.id = n.id returning k.id
