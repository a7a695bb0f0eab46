-- Whose rights a command has, as they are now.
-- name: user_standing
SELECT role, status FROM users WHERE id = $1::bigint AND deleted_at IS NULL

-- name: first_admin
SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL ORDER BY id LIMIT 1
