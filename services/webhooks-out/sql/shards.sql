-- A replica shows itself by a lock of its own, so that the others know their share.
-- name: shard_presence
SELECT pg_advisory_lock_shared(36522, pg_backend_pid() % 1000000)

-- name: shard_replicas
SELECT count(DISTINCT objid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 36522 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: shard_take
SELECT pg_try_advisory_lock(36521, $1::int)

-- name: shard_leave
SELECT pg_advisory_unlock(36521, $1::int)
