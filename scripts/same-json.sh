#!/usr/bin/env bash
# Whether two binaries say the same of every golden case and every report: `scripts/same-json.sh OLD NEW`.
#
# Each case is loaded into a throw-away etcd and audited by both, twice, with a history each; both plan a release of all
# leaks, and then both report. Compared is the JSON, and what is said beside it, but for what is never the same: when it
# was started, how long it took, when things were seen, how big etcd's file is, the tool's version. Exit status 1 when
# anything differs; the difference is shown.
# Needs etcd-server, jq and a Rust toolchain.
set -euo pipefail
(($# == 2)) || {
    echo "usage: scripts/same-json.sh OLD NEW" >&2
    exit 2
}
old=$(realpath "$1")
new=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

me=same-json
. scripts/throwaway-etcd.sh

cargo build --locked --quiet --example load
load=${CARGO_TARGET_DIR:-target}/debug/examples/load

# What differs between any two runs; the rest is compared letter for letter.
same='walk(if type == "object" then with_entries(select(.key |
    IN("started", "duration_ms", "allowed_from", "first_seen", "last_seen", "tool", "now", "since", "until", "to", "db_size", "db_size_in_use") | not)) else . end)'

# Runs a binary as `run NAME BINARY WORDS…`; keeps its JSON and its exit code.
run() {
    local name=$1 binary=$2 code=0
    shift 2
    "$binary" "$@" >"$folder/raw" 2>"$folder/err" || code=$?
    if [[ -s $folder/raw ]]; then jq -S "$same" "$folder/raw" >"$folder/$name"; else : >"$folder/$name"; fi
    printf 'exit %s\n' "$code" >>"$folder/$name"
    sed -E 's/[0-9.]+ ?m?s\b/TIME/g' "$folder/err" >>"$folder/$name"
}

differ=0
runs=0
both() {
    run old "$old" "$@" --db "$folder/old.db"
    run new "$new" "$@" --db "$folder/new.db"
    runs=$((runs + 1))
    sed -i "s|$folder/old.db|DB|g" "$folder/old"
    sed -i "s|$folder/new.db|DB|g" "$folder/new"
    if ! diff -u --label "old: $case $*" --label "new: $case $*" "$folder/old" "$folder/new"; then differ=$((differ + 1)); fi
}

one_moment() { # etcd's keys, Kubernetes' objects, the moment
    start_etcd
    "$load" "$endpoint" "$1" >/dev/null
    local of=(--etcd-endpoints "$endpoint" --kube-objects "$2" --now "$3" --settle 1ms)
    both audit "${of[@]}" -o json
    both audit "${of[@]}" -o json
    both release --code IPA110 --older-than 0s --etcd-endpoints "$endpoint" --kube-objects "$2" -o json
    kill "$etcd_pid"
    wait "$etcd_pid" 2>/dev/null || true
    rm -rf "$folder/data"
}

for path in tests/golden/*/ tests/reports/*/; do
    case=$(basename "$path")
    rm -f "$folder"/*.db*
    if [[ $(jq 'has("moments")' "$path/case.json") == true ]]; then
        for i in $(jq '.moments | keys[]' "$path/case.json"); do
            one_moment "$path/etcd.$i.jsonl" "$path/cluster.$i.json" "$(jq -r ".moments[$i].captured_at" "$path/case.json")"
        done
    else
        one_moment "$(ls "$path"etcd.jsonl*)" "$(ls "$path"cluster.json*)" "$(jq -r .captured_at "$path/case.json")"
    fi
    both report --since 24h -o json
done
((differ == 0)) || fail "$differ of $runs runs differ"
echo "$runs runs, no difference"
