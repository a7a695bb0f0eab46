-- name: sandbox_first_user write
-- The id that the next user gets.
SELECT setval(pg_get_serial_sequence('users', 'id'), $1::bigint, false)
