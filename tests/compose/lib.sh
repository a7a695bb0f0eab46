# shellcheck shell=bash
# What run and prove share: a step a line, its output in a file, and the count.
PASSED=${PASSED:-0} FAILED=${FAILED:-0}

say() { printf '%s\n' "$*"; }

# step TEXT COMMAND…: runs COMMAND (bash's errexit holds in it), prints ok or FAILED and the seconds.  Never call it in a
# condition: there bash ignores errexit in all that it calls.
step() {
    local text=$1 log begin=$SECONDS rc
    shift
    log=$CMS365_COMPOSE_LOGS/$(printf '%02d' $((PASSED + FAILED)))-$(tr -cs 'A-Za-z0-9\n' - <<<"$text").log
    set +e
    (set -eu; "$@") >"$log" 2>&1 </dev/null
    rc=$?
    set -e
    if [ $rc -eq 0 ]; then
        PASSED=$((PASSED + 1))
        printf 'ok     %-66s %4d s\n' "$text" $((SECONDS - begin))
    else
        FAILED=$((FAILED + 1))
        printf 'FAILED %-66s %4d s\n' "$text" $((SECONDS - begin))
        tail -n 25 "$log" | cut -c1-240 | sed 's/^/    | /'
        ! declare -F on_failed >/dev/null || on_failed "$(basename "$log" .log)"
    fi
    LAST=$rc
}

# The same where nothing after it makes sense without it.
must() {
    step "$@"
    [ "$LAST" -eq 0 ] || finish
}

finish() {
    say "$PASSED passed, $FAILED failed"
    [ "$FAILED" -eq 0 ] || exit 1
    exit 0
}
