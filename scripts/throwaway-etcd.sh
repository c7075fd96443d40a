# To be sourced, from the top of the tree: an etcd that is thrown away, on a free loopback port.
#
# Nothing outside a temporary folder ($folder) is touched; etcd is stopped by its pid, also after Ctrl-C. `start_etcd`
# sets $endpoint. $me names the script in what is said.

folder=$(mktemp -d "${TMPDIR:-/tmp}/ipaudit-$me.XXXXXX")
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
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
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
        env -i PATH="$PATH" "$etcd" --name throwaway --data-dir "$folder/data" --logger zap --log-level error \
            --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
            --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
            --initial-cluster "throwaway=http://127.0.0.1:$peer" >"$folder/etcd.log" 2>&1 </dev/null &
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

# The caller's own settings are not ours.
for name in $(compgen -e); do
    case $name in ETCD_* | IPAUDIT_* | KUBECONFIG | DATASTORE_TYPE) unset "$name" ;; esac
done
