#!/usr/bin/env bash
# Makes sure that what a build and the tests need is installed; quiet when it is.
#
# As root on Debian or Ubuntu the missing packages are installed. Anybody else is told their names: exit status 1
# when a build cannot do without them, 0 when only tests and the demo miss something (they say so themselves).
set -euo pipefail

rust_wanted=1.91

say() { printf 'deps: %s\n' "$*" >&2; }

to_build=()
to_run=()

# What each package is looked for by.
have() { command -v "$1" >/dev/null 2>&1; }
protobuf_types() { # messages that etcd's own include
    local protoc
    protoc=$(command -v "${PROTOC:-protoc}") || return 1
    [[ -f ${PROTOC_INCLUDE:-$(dirname "$(dirname "$protoc")")/include}/google/protobuf/descriptor.proto ]]
}

have cc || to_build+=(gcc libc6-dev)
have make || to_build+=(make)
have "${PROTOC:-protoc}" || to_build+=(protobuf-compiler)
protobuf_types || to_build+=(libprotobuf-dev)
have etcd || [[ -x /usr/bin/etcd ]] || to_run+=(etcd-server)
have etcdctl || [[ -x /usr/bin/etcdctl ]] || to_run+=(etcd-client)
have ip || [[ -x /usr/sbin/ip || -x /sbin/ip ]] || to_run+=(iproute2)

install() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    # Debian's package starts a server of its own on port 2379. Tests and demo start theirs where they need one.
    if [[ " $* " == *" etcd-server "* && -d /run/systemd/system ]]; then
        systemctl disable --quiet --now etcd.service || say "etcd.service could not be stopped"
    fi
}

missing=("${to_build[@]}" "${to_run[@]}")
if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && have apt-get; then
        install "${missing[@]}"
    else
        say "missing: ${missing[*]}"
        say "on Debian 12: apt-get install ${missing[*]}"
        if ((${#to_build[@]})); then exit 1; fi
    fi
fi

if ! have cargo; then
    say "missing: a Rust toolchain, $rust_wanted or newer, with cargo, rustfmt and clippy (rustup installs all of them)"
    exit 1
fi
found=$(rustc --version | cut -d ' ' -f 2)
if [[ $(printf '%s\n%s\n' "$rust_wanted" "$found" | sort -V | head -n 1) != "$rust_wanted" ]]; then
    say "Rust $found is too old: $rust_wanted or newer is needed"
    exit 1
fi
