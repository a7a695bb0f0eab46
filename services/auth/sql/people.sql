-- name: person_get write
select role, status from people where user_id = $1 for share

-- name: person_lock write
select role, status, version, email from people where user_id = $1 for update

-- name: person_put write
-- An older version than the one known changes nothing.
insert into people (user_id, role, status, version, username, email, display_name)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (user_id) do update set role = excluded.role, status = excluded.status, version = excluded.version,
    username = coalesce(excluded.username, people.username), email = coalesce(excluded.email, people.email),
    display_name = coalesce(excluded.display_name, people.display_name),
    former_email = case when lower(excluded.email) <> lower(people.email) and people.email_changed_at > now() - interval '1 day' then people.former_email
        when lower(excluded.email) <> lower(people.email) then people.email else people.former_email end,
    email_changed_at = case when lower(excluded.email) <> lower(people.email) then clock_timestamp() else people.email_changed_at end,
    updated_at = clock_timestamp()
where people.version <= excluded.version

-- name: person_bootstrap write
insert into people (user_id, role) values ($1, 'admin') on conflict do nothing

-- name: credential_bootstrap write
insert into credentials (user_id, password_phc) values ($1, $2) on conflict do nothing
