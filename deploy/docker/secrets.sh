#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads, once: files below ./secrets, readable by their owner and the
# containers' users.  What exists stays as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p secrets
chmod 711 secrets

put() { # NAME VALUE
    [ -e "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
    chmod 644 "secrets/$1" # the containers run as other users; the folder keeps others from listing it
}
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

put postgres_password "$(random)"
put internal_token "$(random)"
put admin_password "$(random)"
put secret_keys "k1:$(head -c 32 /dev/urandom | base64)"
for pair in api:content auth:auth webhooks_out:webhooks_out; do
    program=${pair%:*} schema=${pair#*:}
    put "db_${schema}_owner" "$(random)"
    put "db_$schema" "$(random)"
    put "${program}_migrate_url" "postgresql://cms365_${schema}_owner:$(cat "secrets/db_${schema}_owner")@postgres:5432/cms365"
    put "${program}_database_url" "postgresql://cms365_$schema:$(cat "secrets/db_$schema")@postgres:5432/cms365"
done
echo "secrets/ is ready; next: docker compose up --build"
