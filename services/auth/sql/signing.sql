-- name: signing_lock write
-- One replica makes keys at a time.
select pg_advisory_xact_lock(hashtextextended('auth.signing_keys', 0))

-- name: signing_keys
-- Those that may still be accepted, the newest first.
select kid, alg, sealed, (extract(epoch from active_at) * 1000000)::bigint,
       coalesce((extract(epoch from expires_at) * 1000000)::bigint, 0),
       active_at < now() - $1 * interval '1 day'
from signing_keys where expires_at is null or expires_at > now() order by active_at desc, kid

-- name: signing_insert write
insert into signing_keys (kid, alg, sealed, active_at) values ($1, $2, $3, now() + $4 * interval '1 second')

-- name: signing_retire write
-- What was signed last is over `$3` seconds after the new key signs.
update signing_keys set expires_at = now() + ($3::bigint + $4::bigint) * interval '1 second'
where alg = $1 and kid <> $2 and (expires_at is null or expires_at > now() + ($3::bigint + $4::bigint) * interval '1 second')
returning sealed, kid, (extract(epoch from expires_at) * 1000000)::bigint

-- name: signing_forget write
delete from signing_keys where expires_at < now() - interval '1 day'
