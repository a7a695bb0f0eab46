#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads, once: files below ./secrets.  What exists stays as it is.
#
# Only their owner can enter the folder.  The files themselves are readable for all (0444): they are mounted one by one, with
# the owner and mode that they have here, into containers that run as other users (10365, PostgreSQL's).
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p secrets
chmod 700 secrets

put() { # NAME VALUE
    if [ ! -s "secrets/$1" ]; then
        # Whole or not at all: an interrupted run leaves no half secret behind.
        printf '%s' "$2" >"secrets/.$1.new"
        mv -f "secrets/.$1.new" "secrets/$1"
    fi
    chmod 444 "secrets/$1"
}
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

put postgres_password "$(random)"
put internal_token "$(random)"
put admin_password "$(random)"
put secret_keys "k1:$(head -c 32 /dev/urandom | base64)"
for pair in api:content auth:auth webhooks_out:webhooks_out webhooks_in:webhooks_in analytics:analytics; do
    program=${pair%:*} schema=${pair#*:}
    put "db_${schema}_owner" "$(random)"
    put "db_$schema" "$(random)"
    put "${program}_migrate_url" "postgresql://cms365_${schema}_owner:$(cat "secrets/db_${schema}_owner")@postgres:5432/cms365"
    put "${program}_database_url" "postgresql://cms365_$schema:$(cat "secrets/db_$schema")@postgres:5432/cms365"
done
put db_sandbox "$(random)"
put api_sandbox_url "postgresql://cms365_sandbox:$(cat secrets/db_sandbox)@postgres:5432/cms365_sandbox"
echo "secrets/ is ready; next: docker compose up --build"
