#!/usr/bin/env bash
# etcd's own command line asks a proxy on one version and not on the other, with the same variables and the same endpoint:
# etcdctl 3.7.3 asks HTTPS_PROXY for a tunnel, even to an endpoint whose scheme is http; etcdctl 3.4.23 connects directly.
# HTTP_PROXY, the variable of that scheme, neither of them heeds.
#
# Why it matters: on a machine with a corporate proxy an upgrade of etcdctl alone makes a healthy etcd unreachable, or lets
# a proxy see where it is, while what else reads etcd goes on directly; NO_PROXY with etcd's hosts is the cure. Whoever
# compares "etcdctl works" with "the tool does not", or the other way round, looks for the fault in the wrong place.
#
# Seen on 29 November 2026:
#   3.4.23: both variables set, the proxy is asked 0 times, the answer comes
#   3.7.3:  HTTPS_PROXY: asked "CONNECT HOST:PORT"; HTTP_PROXY alone: 0 times, the answer comes; NO_PROXY with the host: likewise
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

go_module
new_etcd
go get "go.etcd.io/etcd/etcdctl/v3@v$etcd_new" >>"$folder/go.log" 2>&1 || cannot "$(tail -n 3 "$folder/go.log")"
go build -o "$folder/etcdctl-new" go.etcd.io/etcd/etcdctl/v3 >>"$folder/go.log" 2>&1 || cannot "$(tail -n 3 "$folder/go.log")"
mkdir -p "$folder/old-client"
(cd "$folder/old-client" && apt-get -o APT::Sandbox::User=root download "etcd-client=$etcd_old_package" >"$folder/apt.log" 2>&1 &&
    dpkg-deb -x ./*.deb .) || cannot "etcd-client=$etcd_old_package of Debian 12: $(tail -n 2 "$folder/apt.log")"

# A proxy that writes down what it is asked for, and refuses.
client <<'GO'
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	log, err := os.Create(os.Args[2])
	if err != nil {
		panic(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
			fmt.Fprint(log, line)
			fmt.Fprint(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		}
		conn.Close()
	}
}
GO

start_etcd "$new_etcd_binary" one
proxy=127.0.0.1:$(free_port)
"$folder/client" "$proxy" "$folder/asked" &
servers+=($!)
for _ in {1..100}; do
    [[ -e $folder/asked ]] && break
    sleep 0.1
done

# Go never asks a proxy for loopback addresses. This one is none by its number, and leads there all the same.
host=0.0.0.0
# try ETCDCTL VARIABLE...: $answer (yes or no) and $lines, the different things that the proxy was asked for.
try() {
    local binary=$1
    shift
    local before
    before=$(stat -c %s "$folder/asked")
    answer=no
    if env -i ETCDCTL_API=3 "$@" "$binary" --endpoints="http://$host:$client_port" --dial-timeout=2s --command-timeout=3s \
        put key value >/dev/null 2>&1; then answer=yes; fi
    lines=$(tail -c "+$((before + 1))" "$folder/asked" | tr -d '\r' | sort -u)
}
new=$folder/etcdctl-new
old=$folder/old-client/usr/bin/etcdctl

echo "etcdctl $etcd_old:"
try "$old" "HTTPS_PROXY=http://$proxy" "HTTP_PROXY=http://$proxy"
expect "both variables, answered" yes "$answer"
expect "both variables, the proxy was asked for" "" "$lines"
echo "etcdctl $etcd_new:"
try "$new" "HTTPS_PROXY=http://$proxy"
expect "HTTPS_PROXY, answered" no "$answer"
expect "HTTPS_PROXY, the proxy was asked for" "CONNECT $host:$client_port HTTP/1.1" "$lines"
try "$new" "HTTP_PROXY=http://$proxy"
expect "HTTP_PROXY, answered" yes "$answer"
expect "HTTP_PROXY, the proxy was asked for" "" "$lines"
try "$new" "HTTPS_PROXY=http://$proxy" "NO_PROXY=$host"
expect "HTTPS_PROXY and NO_PROXY, answered" yes "$answer"
conclude
