#!/usr/bin/env bash
# Shows what ipaudit does: a throw-away etcd with the incident of 2017 in it, audited.
#
# Nothing outside a temporary folder and a free loopback port is touched; etcd is stopped by its pid, also after
# Ctrl-C. Exit status 0 when the audit says what it must (exit code 1: there are findings).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

incident=examples/incident-2017
now=2026-11-24T12:12:51Z # when the incident's data was saved: its ages are judged as of then
address=192.168.91.33

folder=$(mktemp -d "${TMPDIR:-/tmp}/ipaudit-demo.XXXXXX")
etcd_pid=

# Runs at every end of the script.
tidy() {
    trap - INT TERM HUP
    if [[ -n $etcd_pid ]] && kill -0 "$etcd_pid" 2>/dev/null; then
        kill "$etcd_pid" 2>/dev/null || true
        for _ in {1..50}; do
            kill -0 "$etcd_pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$etcd_pid" 2>/dev/null || true
    fi
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

step() { printf '\n\033[1m== %s\033[0m\n\n' "$*"; }
if [[ ! -t 1 || -n ${NO_COLOR:-} ]]; then step() { printf '\n== %s\n\n' "$*"; }; fi

# Shows a command as one would type it, runs it, and keeps its exit code.
status=0
try() {
    printf '$ %s\n' "${*/#target\/debug\/ipaudit/ipaudit}"
    status=0
    "$@" || status=$?
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Somebody may take a port between our look and etcd's start: then etcd ends, and another pair is tried.
start_etcd() {
    local etcd port peer
    etcd=$(command -v etcd || echo /usr/bin/etcd)
    [[ -x $etcd ]] || fail "there is no etcd: apt-get install etcd-server"
    for _ in {1..20}; do
        port=$((20000 + RANDOM % 10000 * 2))
        peer=$((port + 1))
        if taken "$port" || taken "$peer"; then continue; fi
        # Not the caller's ETCD_… variables. In a pipe's place the log, for when it does not start.
        env -i PATH="$PATH" "$etcd" --name demo --data-dir "$folder/data" --logger zap --log-level error \
            --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
            --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
            --initial-cluster "demo=http://127.0.0.1:$peer" >"$folder/etcd.log" 2>&1 </dev/null &
        etcd_pid=$!
        while kill -0 "$etcd_pid" 2>/dev/null; do
            if taken "$port"; then
                endpoint=http://127.0.0.1:$port
                return
            fi
            sleep 0.05
        done
        etcd_pid=
        rm -rf "$folder/data"
    done
    cat "$folder/etcd.log" >&2
    fail "etcd does not start"
}

step "Building"
cargo build --locked --quiet --bin ipaudit --example load
ipaudit=target/debug/ipaudit
# The caller's own settings are not the demo's.
for name in $(compgen -e); do
    case $name in ETCD_* | IPAUDIT_* | KUBECONFIG | DATASTORE_TYPE) unset "$name" ;; esac
done
export IPAUDIT_DB=$folder/history.db

step "1. A throw-away etcd with what Calico had in it that day"
start_etcd
target/debug/examples/load "$endpoint" "$incident/etcd.jsonl.gz"
kill -0 "$etcd_pid" 2>/dev/null || fail "etcd has gone: $(tail -n 3 "$folder/etcd.log")"

step "2. The audit: Calico's records in etcd against the pods that kubectl listed, suspects looked at twice"
audit=("$ipaudit" audit --etcd-endpoints "$endpoint" --kube-objects "$incident/cluster.json.gz" --settle 1s --now "$now")
try "${audit[@]}"
[[ $status == 1 ]] || fail "the audit ended with $status; 1 was expected: there are findings"

step "3. Who has $address: every finding that names it, on its own, with all holders"
try "${audit[@]}" --code IPA101,IPA102,IPA130,IPA131 --all
[[ $status == 1 ]] || fail "the audit ended with $status; 1 was expected"

step "4. What that means, and what to do about it"
try "$ipaudit" explain IPA101
[[ $status == 0 ]] || fail "explain ended with $status"

step "Done: ipaudit only read. A script learns the same from exit code 1 and from -o json"
