# shellcheck shell=bash
# What the commands of ./dev share: where the stack lives, its ports, its processes.  Sourced after `set -euo pipefail`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
RUN_USER=cms365 # who runs the servers when ./dev is root: initdb refuses root
INFRA=(postgres redis kafka gateway)

die() { printf 'dev: %s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*"; }
is_root() { [ "$(id -u)" -eq 0 ]; }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# --- where ---------------------------------------------------------------------------------------

# Sets RUN (all that the running stack has), ENV_FILE (what people and tests source), BASE (first port), SOCK (unix sockets).
stack_init() {
    if [ -n "${CMS365_RUN_DIR:-}" ]; then
        mkdir -p "$CMS365_RUN_DIR" 2>/dev/null || die "cannot create $CMS365_RUN_DIR (CMS365_RUN_DIR): choose a directory that you can write"
        RUN=$(cd "$CMS365_RUN_DIR" && pwd -P)
        ENV_FILE=$RUN/cms365.env
    else
        if is_root; then RUN=/var/lib/cms365; else RUN=$ROOT/.run; fi
        ENV_FILE=$ROOT/.run/cms365.env
    fi
    BASE=${CMS365_PORT_BASE:-}
    [ -n "$BASE" ] || BASE=$(cat "$RUN/port_base" 2>/dev/null || echo 18365)
    case $BASE in *[!0-9]* | '') die "CMS365_PORT_BASE must be a number, not '$BASE'" ;; esac
    [ "$BASE" -ge 1024 ] && [ "$BASE" -le 65000 ] || die "CMS365_PORT_BASE must be between 1024 and 65000, not $BASE"
    PG_PORT=$((BASE + 1)) REDIS_PORT=$((BASE + 2)) KAFKA_PORT=$((BASE + 3)) CONTROLLER_PORT=$((BASE + 4))
    # A unix socket's path has 107 bytes at most, and PostgreSQL adds .s.PGSQL.NNNNN.lock to the directory.
    SOCK=$RUN/sock
    [ ${#SOCK} -le 80 ] || SOCK=/tmp/cms365-$(printf %s "$RUN" | cksum | cut -d' ' -f1)
    if is_root; then CACHE=${CMS365_CACHE_DIR:-/var/cache/cms365}; else CACHE=${CMS365_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/cms365}; fi
}

# Runs a command as the user who owns the servers, with a clean environment.
as_run() {
    local clean=(env -i "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "HOME=$RUN" LANG=C.UTF-8 TZ=UTC)
    if is_root; then
        (cd / && setpriv --reuid="$RUN_USER" --regid="$RUN_USER" --init-groups "${clean[@]}" "$@")
    else
        (cd / && "${clean[@]}" "$@")
    fi
}

# One command at a time changes a stack; the lock goes with the process (daemons get 9>&-).
stack_lock() {
    exec 9>"$RUN/.lock" || die "cannot write to $RUN: make it writable or set CMS365_RUN_DIR"
    flock -n 9 || { say "waiting for another ./dev to finish…"; flock -w 300 9 || die "another ./dev command still holds $RUN/.lock"; }
}

# --- programs ------------------------------------------------------------------------------------

programs_rows() { awk '$1 !~ /^(#|$)/ { print $1, $2, $3 }' "$ROOT/deploy/programs.txt"; }
programs() { programs_rows | cut -d' ' -f1; }
program_number() { programs_rows | awk -v n="$1" '$1 == n { print $2 }'; }
program_schema() { programs_rows | awk -v n="$1" '$1 == n { print $3 }'; }
is_program() { [ -n "$(program_number "$1")" ]; }
public_port() { echo $((BASE + 100 + 20 * $(program_number "$1") + $2)); } # NAME REPLICA
ops_port() { echo $((BASE + 110 + 20 * $(program_number "$1") + $2)); }
replicas() { cat "$RUN/replicas/$1" 2>/dev/null || echo 1; }
each_replica() { # prints "name replica" for all that should run
    local name r
    for name in $(programs); do
        for ((r = 0; r < $(replicas "$name"); r++)); do echo "$name $r"; done
    done
}

# Runs a program's verb (--migrate, --topics, …) with the stack's settings, as its user.  NAME VERB [ARG…]
program_verb() {
    local name=$1
    shift
    as_run "$RUN/bin/launch" "$RUN" "$name" verb "$@"
}

# --- secrets -------------------------------------------------------------------------------------

secret() { cat "$RUN/secrets/$1"; }
url_of() { echo "postgresql://$1:$(secret "db_$1")@127.0.0.1:$PG_PORT/${2:-cms365}"; } # ROLE [DATABASE]

# --- processes -----------------------------------------------------------------------------------

supervisor() { as_run supervisorctl -c "$RUN/conf/supervisord.conf" "$@"; }
supervisor_pid() { # prints it if it is alive and really is one
    local pid
    pid=$(cat "$RUN/tmp/supervisord.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q supervisord && echo "$pid"
}
is_up() { supervisor_pid >/dev/null; }
need_up() { is_up || die "the stack is not running: start it with ./dev up"; }

port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port_owner() {
    command -v ss >/dev/null || return 0
    ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ by \1 (pid \2)/p' | head -n 1
}

# wait_for SECONDS PROCESS COMMAND…: polls until the command says yes.  Dies with one sentence and the log's end when the time
# is over, or earlier when the process is seen dying at its start twice in a row.
wait_for() {
    local limit=$1 what=$2 begin now look=3000 dying=0
    shift 2
    begin=$(now_ms)
    until "$@" >/dev/null 2>&1; do
        now=$(($(now_ms) - begin))
        if [ $now -ge $((limit * 1000)) ]; then
            log_end "$what"
            die "$what was not ready after $limit s; its log is $RUN/log/$what.log"
        fi
        if [ $now -ge $look ]; then
            look=$((now + 2000))
            case $(supervisor status "$what" 2>/dev/null | awk '{ print $2 }') in
                BACKOFF | FATAL | EXITED) dying=$((dying + 1)) ;;
                *) dying=0 ;;
            esac
            [ $dying -lt 2 ] || { log_end "$what"; die "$what dies as soon as it starts; its log is $RUN/log/$what.log"; }
        fi
        sleep 0.05
    done
}
log_end() { [ ! -s "$RUN/log/$1.log" ] || tail -n 8 "$RUN/log/$1.log" | cut -c1-300 | sed 's/^/    /' >&2; }

pg_bin() { # PostgreSQL's server programs are not in PATH on Debian
    local dir
    dir=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
    [ -n "$dir" ] && [ -x "$dir/initdb" ] || die "PostgreSQL's server is missing: apt-get install postgresql"
    echo "$dir"
}
psql_as() { # ROLE DATABASE ARG…
    local role=$1 db=$2
    shift 2
    PGPASSWORD=$(secret "db_$role") psql -X -h 127.0.0.1 -p "$PG_PORT" -U "$role" -d "$db" "$@"
}
postgres_ready() { "$(pg_bin)/pg_isready" -q -h 127.0.0.1 -p "$PG_PORT"; }
redis_ready() { [ "$(redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping 2>/dev/null)" = PONG ]; }
# An open port is not enough: the broker accepts before it answers.  A Metadata v1 request (key 3) for no topic
# must come back with one broker in it.
kafka_ready() {
    local answer
    answer=$( (
        exec 3<>"/dev/tcp/127.0.0.1/$KAFKA_PORT" || exit 1
        printf '\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\x00\x00\x00\x00' >&3
        timeout 2 head -c 12 <&3 | od -An -tx1 | tr -d ' \n'
    ) 2>/dev/null) || return 1
    [ "${answer:8}" = 0000000700000001 ]
}
gateway_ready() { curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$BASE/_gateway/health"; }
program_ready() { curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$(ops_port "$1" "$2")/readyz"; } # NAME REPLICA
