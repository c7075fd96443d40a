#!/usr/bin/env bash
# Makes sure that the real servers of the integration tests exist:
#   etcd 3.4 (Debian's), etcd 3.7 with its tools, kube-apiserver with kubectl.
#
# Looks where tests/servers/binaries.rs looks: in $KUBEBUILDER_ASSETS, on PATH,
# in ${XDG_CACHE_HOME:-$HOME/.cache}/ipaudit-test-servers/bin. What is in none
# of them is built once into the last, from the Go modules in tests/servers/go.
# That takes a minute for etcd and about 7 minutes for kube-apiserver.
#
# Exit status 0 even if something is missing, because the tests that need it
# then say so; 1 with CI set, or if a build fails.
set -euo pipefail

etcd_version=3.7.3
kube_version=1.37.2
go_wanted=1.26

sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tests/servers/go" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ipaudit-test-servers
bin=$cache/bin
missing=0

say() { printf 'test-servers: %s\n' "$*"; }

skip() { # what, how to get it
    printf '\n*** test-servers: MISSING %s\n*** Tests that need it are skipped (in CI they fail).\n*** To get it: %s\n\n' "$1" "$2" >&2
    missing=1
}

# The folders to look in, one a line.
folders() {
    [[ -z ${KUBEBUILDER_ASSETS:-} ]] || printf '%s\n' "$KUBEBUILDER_ASSETS"
    tr ':' '\n' <<<"$PATH"
    printf '%s\n' /usr/bin
}

# Prints the first etcd whose --version starts with $1.
find_etcd() {
    local folder
    while read -r folder; do
        [[ -n $folder && -x $folder/etcd ]] || continue
        if [[ $("$folder/etcd" --version 2>/dev/null) == "etcd Version: $1"* ]]; then
            printf '%s\n' "$folder/etcd"
            return 0
        fi
    done < <(folders)
    return 1
}

# The same for a complete set: etcd, etcdctl and etcdutl in one folder.
find_etcd_set() {
    local etcd folder
    etcd=$(find_etcd "$1") || return 1
    folder=$(dirname "$etcd")
    [[ -x $folder/etcdctl && -x $folder/etcdutl ]] && printf '%s\n' "$etcd"
}

find_tool() {
    local folder
    while read -r folder; do
        if [[ -n $folder && -x $folder/$1 ]]; then
            printf '%s\n' "$folder/$1"
            return 0
        fi
    done < <(folders)
    return 1
}

go_is_new_enough() {
    command -v go >/dev/null || return 1
    local have
    have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
    have=${have#go}
    [[ $(printf '%s\n%s\n' "$go_wanted" "$have" | sort -V | head -n 1) == "$go_wanted" ]]
}

# build MODULE VERSION PACKAGE NAME: bin/NAME, unless its stamp says that it
# was built from this version and these checksums.
build() {
    local module=$1 version=$2 package=$3 name=$4 stamp
    stamp="$version $(cat "$sources/$module/go.mod" "$sources/$module/go.sum" | sha256sum | cut -d ' ' -f 1)"
    if [[ -x $bin/$name && -f $bin/$name.stamp && $(<"$bin/$name.stamp") == "$stamp" ]]; then
        say "$name $version: $bin/$name"
        return 0
    fi
    say "building $name $version (once, into $bin)"
    # A temporary name first: an interrupted build must not look finished, and
    # a running server must not have its file overwritten.
    (cd "$sources/$module" &&
        CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off \
            go build -mod=readonly -buildvcs=false -ldflags "-s -w" -o "$bin/.$name.$$" "$package") || return 1
    mv -f "$bin/.$name.$$" "$bin/$name"
    printf '%s\n' "$stamp" >"$bin/$name.stamp"
    say "$name $version: $bin/$name"
}

# One build at a time: a second run waits, then finds everything there.
lock() {
    mkdir -p "$bin"
    exec 9>"$cache/lock"
    if ! flock -n 9; then
        say "waiting for another run"
        flock 9
    fi
    rm -f "$bin"/.*.[0-9]* # of a run that was killed
}

cached() { # names that must all be in the cache, built from whatever version
    local name
    for name in "$@"; do [[ -x $bin/$name ]] || return 1; done
}

need_etcd=1
need_kube=1
need_kubectl=1

if found=$(find_etcd 3.4.); then
    say "etcd 3.4: $found"
    find_tool etcdctl >/dev/null ||
        skip "etcdctl 3.4" "apt-get install etcd-client"
else
    skip "etcd 3.4" "Debian 12: apt-get install etcd-server etcd-client (and disable the service: the tests start their own)"
fi

if found=$(find_etcd_set "${etcd_version%.*}."); then
    say "etcd ${etcd_version%.*}: $found"
    need_etcd=0
fi
if found=$(find_tool kube-apiserver); then
    say "kube-apiserver: $found"
    need_kube=0
fi
if found=$(find_tool kubectl); then
    say "kubectl: $found"
    need_kubectl=0
fi

if ((need_etcd || need_kube || need_kubectl)); then
    if go_is_new_enough; then
        lock
        if ((need_etcd)); then
            build etcd "$etcd_version" go.etcd.io/etcd/server/v3 etcd
            build etcd "$etcd_version" go.etcd.io/etcd/etcdctl/v3 etcdctl
            build etcd "$etcd_version" go.etcd.io/etcd/etcdutl/v3 etcdutl
        fi
        if ((need_kube)); then
            build kube-apiserver "$kube_version" k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver
        fi
        if ((need_kubectl)); then
            build kube-apiserver "$kube_version" k8s.io/kubernetes/cmd/kubectl kubectl
        fi
    else
        how="install Go $go_wanted or newer and run this again, or name a folder with the binaries in KUBEBUILDER_ASSETS"
        if ((need_etcd)); then
            if cached etcd etcdctl etcdutl; then say "etcd: $bin/etcd"; else skip "etcd $etcd_version" "$how"; fi
        fi
        if ((need_kube)); then
            if cached kube-apiserver; then say "kube-apiserver: $bin/kube-apiserver"; else skip "kube-apiserver $kube_version" "$how"; fi
        fi
        if ((need_kubectl)); then
            if cached kubectl; then say "kubectl: $bin/kubectl"; else skip "kubectl $kube_version" "$how"; fi
        fi
    fi
fi

if ((missing)) && [[ -n ${CI:-} && ${CI:-} != false ]]; then
    exit 1
fi
