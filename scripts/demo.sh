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

me=demo
. scripts/throwaway-etcd.sh
. scripts/demo-node.sh

step() { printf '\n\033[1m== %s\033[0m\n\n' "$*"; }
if [[ ! -t 1 || -n ${NO_COLOR:-} ]]; then step() { printf '\n== %s\n\n' "$*"; }; fi

# Shows a command as one would type it, runs it, and keeps its exit code.
status=0
try() {
    printf '$ %s\n' "${*/#"$ipaudit"/ipaudit}"
    status=0
    "$@" || status=$?
}

step "Building"
cargo build --locked --quiet --bin ipaudit --example load
target=${CARGO_TARGET_DIR:-target}
ipaudit=$target/debug/ipaudit
export IPAUDIT_DB=$folder/history.db

step "1. A throw-away etcd with what Calico had in it that day"
start_etcd
"$target/debug/examples/load" "$endpoint" "$incident/etcd.jsonl.gz"
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

step "5. The same on its node: eleven network namespaces with $address, and what the kernel does with them"
if can_make_spaces; then
    trap 'remove_spaces; tidy' EXIT
    # As the incident's endpoints call them.
    mapfile -t interfaces < <(zcat "$incident/etcd.jsonl.gz" | grep workloadendpoints/ | grep -F "$address/32" |
        grep -o 'cali[0-9a-f]\{11\}' | sort -u)
    make_node "$address" 192.168.91.0/26 "${interfaces[@]}"
    export IPAUDIT_TWICE=0
    printf '$ ipaudit node --node slave-140 --all\n'
    status=0
    on_node "$ipaudit" node --node slave-140 --all || status=$?
    [[ $status == 1 ]] || fail "the node ended with $status; 1 was expected"
    remove_spaces
else
    echo "SKIPPED: this machine makes no network namespaces here (root and iproute2 are needed); everything else was shown."
fi

step "Done: ipaudit only read. A script learns the same from exit code 1 and from -o json"
