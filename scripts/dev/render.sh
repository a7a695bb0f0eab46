# shellcheck shell=bash
# Writes the stack's files below $RUN from deploy/ and the secrets.  Sourced after lib.sh.
#
# As root, what the servers only read (bin, conf, env) belongs to root and their group; what they write
# (data, log, tmp, sock) belongs to them.  Nothing points into the checkout: the servers' user may not be able to read it.

# put() notes here what it wrote anew; ./dev up reads it, and empties it only when it has acted on it.
CHANGED_LOG=/dev/null
changed() { grep -E "$1" "$RUN/setup/changed" 2>/dev/null || true; } # PATTERN

put() { # FILE: standard input becomes the file, if it differs
    local tmp=$1.new
    (umask 077 && cat >"$tmp") || die "cannot write $1: is the disk full?"
    if cmp -s "$tmp" "$1"; then
        rm -f "$tmp"
        return
    fi
    ! is_root || { chgrp "$RUN_USER" "$tmp" && chmod 640 "$tmp"; }
    mv -f "$tmp" "$1"
    echo "$1" >>"$CHANGED_LOG"
}

fill() { # FILE: its text with @NAME@ filled in
    sed -e "s|@RUN@|$RUN|g; s|@SOCK@|$SOCK|g; s|@PG_PORT@|$PG_PORT|g; s|@REDIS_PORT@|$REDIS_PORT|g" \
        -e "s|@KAFKA_PORT@|$KAFKA_PORT|g; s|@CONTROLLER_PORT@|$CONTROLLER_PORT|g; s|@PG_BIN@|$(pg_bin)|g" \
        -e "s|@KAFKA_JARS@|$(kafka_jars)|g; s|@KAFKA_HEAP_MB@|${CMS365_KAFKA_HEAP_MB:-512}|g" "$1"
}

# Named by what it must hold, so that a new version never mixes with an old one.
kafka_jars() { echo "$CACHE/kafka-$(cksum <"$ROOT/deploy/kafka/jars.sha256" | cut -d' ' -f1)"; }

make_dirs() {
    case $RUN in *[!A-Za-z0-9/_.+-]*) die "the path '$RUN' has a character that the servers' files cannot carry: set CMS365_RUN_DIR to a plainer one" ;; esac
    if is_root && ! id -u "$RUN_USER" >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /var/lib/cms365 --shell /usr/sbin/nologin "$RUN_USER" ||
            die "cannot create the user $RUN_USER that the servers run as"
    fi
    mkdir -p "$RUN" "$(dirname "$ENV_FILE")" 2>/dev/null || die "cannot create $RUN: make its parent writable or set CMS365_RUN_DIR"
    [ -w "$RUN" ] || die "$RUN is not writable for $(id -un): make it so or set CMS365_RUN_DIR"
    local owned=("$RUN"/data "$RUN"/log "$RUN"/tmp "$SOCK") read_only=("$RUN"/{bin,conf,env,admin} "$RUN"/conf/{gateway,programs.d})
    [ "$SOCK" = "$RUN/sock" ] || [ ! -e "$SOCK" ] || [ -O "$SOCK" ] || [ "$(stat -c %U "$SOCK")" = "$RUN_USER" ] ||
        die "$SOCK belongs to somebody else: set CMS365_RUN_DIR to a shorter path"
    mkdir -p "${owned[@]}" "${read_only[@]}" "$RUN/secrets" "$RUN/replicas" "$RUN/setup"
    chmod 700 "$RUN/secrets" "$RUN/setup"
    if is_root; then
        chown "root:$RUN_USER" "$RUN" "${read_only[@]}"
        chmod 750 "$RUN" "${read_only[@]}"
        chown "$RUN_USER:$RUN_USER" "${owned[@]}"
        as_run test -x "$RUN" || die "user $RUN_USER cannot enter $RUN (a directory above it is closed): choose another CMS365_RUN_DIR"
    else
        chmod 700 "$RUN" "${read_only[@]}"
    fi
    chmod 700 "${owned[@]}"
}

make_secrets() {
    local role
    new_secret() { [ -s "$RUN/secrets/$1" ] || (umask 077 && { "${@:2}"; } >"$RUN/secrets/$1"); }
    for role in postgres cms365_sandbox $(programs_rows | awk '{ print "cms365_" $3, "cms365_" $3 "_owner" }'); do
        new_secret "db_$role" openssl rand -hex 24
    done
    new_secret secret_keys echo "k1:$(openssl rand -base64 32)"
    new_secret internal_token openssl rand -hex 32
    new_secret admin_password openssl rand -hex 12
    new_secret kafka_id sh -c 'openssl rand -base64 16 | tr "+/" "-_" | tr -d "="'
}

render_servers() {
    local d=$ROOT/deploy
    fill "$d/local/supervisord.conf" | put "$RUN/conf/supervisord.conf"
    fill "$d/local/postgresql.conf" | put "$RUN/conf/postgresql.conf"
    fill "$d/local/pg_hba.conf" | put "$RUN/conf/pg_hba.conf"
    fill "$d/local/redis.conf" | put "$RUN/conf/redis.conf"
    fill "$d/kafka/kafka.properties" | put "$RUN/conf/kafka.properties"
    fill "$d/kafka/log4j2.properties" | put "$RUN/conf/log4j2.properties"
}

render_gateway() { # [NAME-REPLICA to leave out]
    local g=$RUN/conf/gateway f name r without=${1:-}
    for f in nginx routes problems problem-pages admin admin-headers; do put "$g/$f.conf" <"$ROOT/deploy/gateway/$f.conf"; done
    put "$g/main.conf" <<END
pid tmp/nginx.pid;
error_log stderr warn;
END
    put "$g/site.conf" <<END
listen 127.0.0.1:$BASE backlog=1024;
access_log log/gateway.access.log json buffer=64k flush=1s;
set \$problem_base ${CMS365_PUBLIC_URL:-http://127.0.0.1:$BASE}/problems/;
set \$gateway_dir $RUN/tmp;
set \$admin_root $RUN/admin;
END
    for name in $(programs); do
        echo "upstream $name {"
        for ((r = 0; r < $(replicas "$name"); r++)); do
            if [ "$name-$r" = "$without" ]; then
                echo "    server 127.0.0.1:$(public_port "$name" $r) down;"
            else
                echo "    server 127.0.0.1:$(public_port "$name" $r) max_fails=1 fail_timeout=1s;"
            fi
        done
        echo "    keepalive 64;"
        echo "}"
    done | put "$g/upstreams.conf"
}

# Settings of the stack, then what the file in CMS365_OVERRIDES and the caller's environment say otherwise.  What was said
# once holds until ./dev down, so that a plain ./dev up changes nothing.
render_settings() {
    local -A set=(
        [CMS365_ENV]=dev
        [CMS365_PUBLIC_URL]=http://127.0.0.1:$BASE
        [CMS365_REDIS_URL]=redis://127.0.0.1:$REDIS_PORT/0
        [CMS365_KAFKA_BROKERS]=127.0.0.1:$KAFKA_PORT
        [CMS365_SECRET_KEYS]=$(secret secret_keys)
        [CMS365_INTERNAL_TOKEN]=$(secret internal_token)
        [CMS365_AUTH_INTERNAL_URL]=http://127.0.0.1:$(ops_port auth 0)
        [CMS365_API_INTERNAL_URL]=http://127.0.0.1:$(ops_port api 0)
        [CMS365_EGRESS_ALLOW]=127.0.0.0/8,::1/128
        [CMS365_TRUSTED_PROXIES]=127.0.0.1/32
        # Here all clients are one network, and tests and load tools are meant to press.  Limits of keys hold all the same.
        [CMS365_RATE_KEY]=0 [CMS365_RATE_CLIENT]=0 [CMS365_RATE_USER]=0
        [CMS365_RATE_NETWORK]=0 [CMS365_RATE_TOKEN]=0 [CMS365_RATE_LOGIN]=0
    )
    local name value schema r said=$RUN/setup/overrides
    is_up || rm -f "$said"
    touch "$said"
    override() {
        case $1 in
            CMS365_PORT_BASE | CMS365_RUN_DIR | CMS365_CACHE_DIR | CMS365_OVERRIDES | CMS365_KAFKA_HEAP_MB) ;;    # ours
            CMS365_URL | CMS365_ADMIN_* | CMS365_TEST_* | CMS365_CHAOS_* | CMS365_BENCH_* | CMS365_NODE_MODULES | CMS365_SINK | CMS365_ENV_FILE) ;;                                                     # the caller's own
            CMS365_LISTEN | CMS365_OPS_LISTEN | CMS365_DATABASE_URL* | CMS365_MIGRATE_DATABASE_URL*) ;;           # one a program
            CMS365_*_FILE) unset "set[${1%_FILE}]"; given[$1]=$2 ;;
            CMS365_*) given[$1]=$2 ;;
        esac
    }
    override_file() { while IFS='=' read -r name value; do override "$name" "$value"; done < <(grep -E '^CMS365_[A-Z0-9_]+=' "$1" || true); }
    local -A given=()
    override_file "$said"
    if [ -n "${CMS365_OVERRIDES:-}" ]; then
        [ -r "$CMS365_OVERRIDES" ] || die "cannot read $CMS365_OVERRIDES (CMS365_OVERRIDES)"
        override_file "$CMS365_OVERRIDES"
    fi
    for name in $(compgen -e CMS365_ || true); do override "$name" "${!name}"; done
    for name in "${!given[@]}"; do printf '%s=%s\n' "$name" "${given[$name]}"; done >"$said.new" # ./dev up keeps it if all goes well
    for name in "${!given[@]}"; do set[$name]=${given[$name]}; done
    for name in "${!set[@]}"; do printf '%s=%q\n' "$name" "${set[$name]}"; done | sort | put "$RUN/env/common.env"
    while read -r name _ schema; do
        {
            printf 'CMS365_DATABASE_URL=%q\n' "$(url_of "cms365_$schema")"
            [ "$name" != api ] || printf 'CMS365_SANDBOX_DATABASE_URL=%q\n' "$(url_of cms365_sandbox cms365_sandbox)"
        } | put "$RUN/env/$name.env"
        {
            printf 'CMS365_MIGRATE_DATABASE_URL=%q\n' "$(url_of "cms365_${schema}_owner")"
            printf 'CMS365_ADMIN_PASSWORD=%q\n' "$(secret admin_password)"
        } | put "$RUN/env/$name.verb.env"
        for ((r = 0; r < $(replicas "$name"); r++)); do render_replica "$name" $r; done
    done < <(programs_rows)
    put "$RUN/bin/launch" <"$ROOT/deploy/local/launch"
    chmod 750 "$RUN/bin/launch"
}

render_replica() { # NAME REPLICA
    put "$RUN/env/$1-$2.env" <<END
CMS365_LISTEN=127.0.0.1:$(public_port "$1" "$2")
CMS365_OPS_LISTEN=127.0.0.1:$(ops_port "$1" "$2")
END
    put "$RUN/conf/programs.d/$1-$2.conf" <<END
[program:$1-$2]
command=$RUN/bin/launch $RUN $1 $2
priority=500
autostart=false
autorestart=true
startretries=30
stopwaitsecs=40
stdout_logfile=NONE
stderr_logfile=NONE
END
}

# Copies a built program in; true if it differs from what was there.
install_program() { # NAME
    local built=$ROOT/build/rel/bin/$1
    [ -x "$built" ] || die "$built is missing: the build did not make it"
    ! cmp -s "$built" "$RUN/bin/$1" || return 1
    install -m 750 "$built" "$RUN/bin/.$1.new" || die "cannot copy $1 to $RUN/bin: is the disk full?"
    ! is_root || chgrp "$RUN_USER" "$RUN/bin/.$1.new"
    mv -f "$RUN/bin/.$1.new" "$RUN/bin/$1"
}

# Copies the built admin in.  What is new comes before the page that names it, and what an open page may still ask for stays
# for a week.
install_admin() {
    local built=$ROOT/build/admin to=$RUN/admin coding
    ! cmp -s "$built/hash" "$to/hash" || return 0
    for coding in identity gzip br; do
        mkdir -p "$to/$coding/admin/assets"
        cp "$built/$coding/admin/assets"/* "$to/$coding/admin/assets/" || die "cannot copy the admin to $to: is the disk full?"
        find "$to/$coding/admin/assets" -type f -mtime +7 -delete
        cp "$built/$coding/admin"/*.* "$to/$coding/admin/"
    done
    ! is_root || chgrp -R "$RUN_USER" "$to"
    chmod -R u=rwX,g=rX,o= "$to"
    cp "$built/hash" "$to/hash"
}
