#!/bin/bash
# Makes the database, and for each schema its two login roles: cms365_<schema>_owner owns the schema and migrates it,
# cms365_<schema> reads and writes rows in it and can do nothing else.  Running it again changes nothing but passwords.
#
#   SCHEMAS                       "content auth webhooks_out webhooks_in analytics"
#   DB_PASSWORD_<SCHEMA>_OWNER    upper case, e.g. DB_PASSWORD_WEBHOOKS_OUT_OWNER; or …_FILE with the file that holds it
#   DB_PASSWORD_<SCHEMA>
#   DB_NAME                       default cms365
#   DB_PASSWORD_SANDBOX           or …_FILE: if given, also a database for the data of sandbox keys, <DB_NAME>_sandbox, and the
#                                 role cms365_sandbox, which owns it and may not enter the other
#
# Connects as libpq's environment says (PGHOST, PGPORT, PGUSER, PGPASSWORD); as a script of the official image's
# /docker-entrypoint-initdb.d the entrypoint's POSTGRES_USER is taken.
set -euo pipefail

db=${DB_NAME:-cms365}
export PGUSER=${PGUSER:-${POSTGRES_USER:-postgres}}

password_of() { # NAME: the value of DB_PASSWORD_NAME or of the file in DB_PASSWORD_NAME_FILE
    local var=DB_PASSWORD_$1 file=DB_PASSWORD_$1_FILE
    if [ -n "${!var:-}" ]; then
        printf %s "${!var}"
    elif [ -n "${!file:-}" ]; then
        cat "${!file}"
    else
        echo "roles.sh: set $var or $file" >&2
        return 1
    fi
}

run() { psql -X -q -v ON_ERROR_STOP=1 --no-psqlrc "$@"; }

run -d postgres -v db="$db" <<'SQL'
set client_min_messages = warning;
select format('create database %I encoding ''UTF8''', :'db')
 where not exists (select from pg_database where datname = :'db') \gexec
SQL

run -d "$db" -v db="$db" <<'SQL'
set client_min_messages = warning;
revoke all on database :"db" from public;
revoke all on schema public from public;
SQL

for schema in ${SCHEMAS:?roles.sh: set SCHEMAS to the list of schemas}; do
    upper=${schema^^}
    owner_password=$(password_of "${upper}_OWNER")
    password=$(password_of "$upper")
    # The passwords go by psql variables read from the environment, so that no process list shows them.
    OWNER_PASSWORD=$owner_password PASSWORD=$password run -d "$db" -v db="$db" -v schema="$schema" \
        -v owner="cms365_${schema}_owner" -v role="cms365_$schema" <<'SQL'
set client_min_messages = warning;
\getenv owner_password OWNER_PASSWORD
\getenv password PASSWORD
select format('create role %I', r) from unnest(array[:'owner', :'role']) r
 where not exists (select from pg_roles where rolname = r) \gexec
alter role :"owner" login nosuperuser nocreatedb nocreaterole noreplication password :'owner_password';
alter role :"role"  login nosuperuser nocreatedb nocreaterole noreplication password :'password';
grant connect on database :"db" to :"owner", :"role";
create schema if not exists :"schema" authorization :"owner";
grant usage on schema :"schema" to :"role";
alter role :"owner" in database :"db" set search_path = :"schema";
alter role :"role"  in database :"db" set search_path = :"schema";
alter default privileges for role :"owner" in schema :"schema"
    grant select, insert, update, delete on tables to :"role";
alter default privileges for role :"owner" in schema :"schema"
    grant usage, select on sequences to :"role";
-- A function is for the schema's own program only, above all one that runs as its owner.
alter default privileges for role :"owner" revoke execute on functions from public;
alter default privileges for role :"owner" in schema :"schema" grant execute on functions to :"role";
SQL
done

if [ -n "${DB_PASSWORD_SANDBOX:-}${DB_PASSWORD_SANDBOX_FILE:-}" ]; then
    password=$(password_of SANDBOX)
    PASSWORD=$password run -d postgres -v db="${db}_sandbox" -v role=cms365_sandbox <<'SQL'
set client_min_messages = warning;
\getenv password PASSWORD
select format('create role %I', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" login nosuperuser nocreatedb nocreaterole noreplication password :'password';
select format('create database %I owner %I encoding ''UTF8''', :'db', :'role')
 where not exists (select from pg_database where datname = :'db') \gexec
revoke all on database :"db" from public;
SQL
fi
