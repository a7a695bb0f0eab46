-- name: person_put write
INSERT INTO people (user_id, role, active) VALUES ($1::bigint, $2::text, $3::boolean)
ON CONFLICT (user_id) DO UPDATE SET role = excluded.role, active = excluded.active, updated_at = now()
