# Sourced by the scripts here: servers of pinned versions in a temporary folder, a Go client, and what was expected.
# shellcheck shell=bash
set -euo pipefail

# The whole script is bounded in time.
if [[ -z ${FINDINGS_BOUNDED:-} ]]; then
    export FINDINGS_BOUNDED=1
    exec timeout --kill-after=20 900 "$0" "$@"
fi

etcd_new=3.7.3
etcd_old=3.4.23
etcd_old_package=3.4.23-4+b4
grpc=1.83.2

folder=$(mktemp -d)
servers=()
changed=0

finish() {
    local server
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    for server in "${servers[@]}"; do wait "$server" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap finish EXIT

cannot() { # why
    printf 'CANNOT be tried: %s\n' "$*" >&2
    exit 2
}

# A Go module of pinned versions, in which servers and clients are built.
go_module() {
    command -v go >/dev/null || cannot "Go 1.26 or newer is missing"
    mkdir -p "$folder/module"
    cd "$folder/module"
    export GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0
    {
        go mod init findings
        # Required from a module of ours: etcd's own go.mod has `replace`, which `go install` refuses.
        go get "go.etcd.io/etcd/server/v3@v$etcd_new" "go.etcd.io/etcd/api/v3@v$etcd_new" "google.golang.org/grpc@v$grpc"
    } >"$folder/go.log" 2>&1 || cannot "$(tail -n 3 "$folder/go.log")"
}

is_version() { # binary, version
    [[ $("$1" --version 2>/dev/null) == "etcd Version: $2"$'\n'* ]]
}

# new_etcd: $new_etcd_binary, built from the Go module.
new_etcd() {
    new_etcd_binary=$folder/etcd-new
    go build -o "$new_etcd_binary" go.etcd.io/etcd/server/v3 >>"$folder/go.log" 2>&1 ||
        cannot "$(tail -n 3 "$folder/go.log")"
    is_version "$new_etcd_binary" "$etcd_new" || cannot "no etcd $etcd_new was built"
}

# old_etcd: $old_etcd_binary, Debian's, unpacked.
old_etcd() {
    mkdir -p "$folder/old"
    (cd "$folder/old" && apt-get -o APT::Sandbox::User=root download "etcd-server=$etcd_old_package" >"$folder/apt.log" 2>&1 &&
        dpkg-deb -x ./*.deb .) || cannot "etcd-server=$etcd_old_package of Debian 12: $(tail -n 2 "$folder/apt.log")"
    old_etcd_binary=$folder/old/usr/bin/etcd
    is_version "$old_etcd_binary" "$etcd_old" || cannot "no etcd $etcd_old was unpacked"
}

free_port() {
    local port
    while :; do
        # Below those that the kernel gives to clients.
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# start_etcd BINARY NAME [FLAG...]: sets $client_port, $peer_port and $address. Flags that come again win.
start_etcd() {
    local binary=$1 name=$2
    shift 2
    client_port=$(free_port)
    peer_port=$(free_port)
    launch "$binary" "$name" "$@"
}

# launch: the same on the ports that are set.
launch() {
    local binary=$1 name=$2 client peer
    shift 2
    client=http://127.0.0.1:$client_port
    peer=http://127.0.0.1:$peer_port
    address=127.0.0.1:$client_port
    "$binary" --name "$name" --data-dir "$folder/data-$name-$client_port" --listen-client-urls "$client" \
        --advertise-client-urls "$client" --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "$name=$peer" --logger=zap --log-level=error --bcrypt-cost=4 "$@" \
        >"$folder/$name-$client_port.log" 2>&1 &
    servers+=($!)
    for _ in {1..200}; do
        kill -0 "${servers[-1]}" 2>/dev/null || cannot "etcd did not start: $(tail -n 3 "$folder/$name-$client_port.log")"
        if (exec 3<>"/dev/tcp/127.0.0.1/$client_port") 2>/dev/null; then return; fi
        sleep 0.1
    done
    cannot "etcd does not listen"
}

# client: builds $folder/client from the Go program on standard input.
client() {
    mkdir -p "$folder/module/client"
    cat >"$folder/module/client/main.go"
    (cd "$folder/module" && go build -o "$folder/client" ./client) >>"$folder/go.log" 2>&1 ||
        cannot "$(tail -n 5 "$folder/go.log")"
}

# ask ARGUMENT...: $seen is what the client says. A client that fails has tried nothing.
ask() {
    seen=$("$folder/client" "$@") || cannot "${seen:-the client failed}"
}

# says NAME: the client's line of that name.
says() { sed -n "s/^$1 //p" <<<"$seen"; }

# expect WHAT WANTED SEEN
expect() {
    if [[ $2 == "$3" ]]; then
        printf '  so    %s: %s\n' "$1" "$3"
    else
        printf 'CHANGED %s: %s (was: %s)\n' "$1" "$3" "$2"
        changed=1
    fi
}

conclude() {
    if ((changed)); then
        echo "It is not so any more."
        exit 1
    fi
    echo "It is still so."
}
