#!/usr/bin/env bash
# Container runtimes cut a line of a log at 16 KiB and mark the parts (`P`, the last `F`); what a kubelet serves as a pod's
# log puts them together again. But its `tailLines` counts the parts: asked for the last line of a log that ends in one
# long line, it gives the last part of it, without a sign that it is one, and asked for two lines the last two parts, joined.
#
# Why it matters: a program that prints one document a line and reads it back by `tailLines=1` (kubectl logs --tail=1) gets
# it whole while it is small, and its end alone as soon as it is not. The mark that opens the line tells the two apart.
#
# Seen on 30 November 2026 with k8s.io/cri-client 0.37.2, which is the kubelet's reader of such files, on a log as
# containerd writes it: a short line, and one of 40,000 letters in three parts.
#   the whole log:       2 lines, the second of 40,000 letters
#   the last 1 line:     7,232 letters, the last part
#   the last 2 lines:    23,616 letters, two parts joined
#   the last 3 lines:    40,000 letters, the line
#   the last 4 lines:    both lines
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cri_client=0.37.2
command -v go >/dev/null || cannot "Go 1.26 or newer is missing"
mkdir -p "$folder/module"
cd "$folder/module"
export GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0
{
    go mod init findings
    go get "k8s.io/cri-client@v$cri_client"
} >"$folder/go.log" 2>&1 || cannot "$(tail -n 3 "$folder/go.log")"
client <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"k8s.io/cri-client/pkg/logs"
)

const cut = 16 * 1024

// client LOG [LINES]: what a kubelet would serve of it; how many lines, and how long the last one is.
func main() {
	if len(os.Args) < 3 {
		write(os.Args[1])
	}
	options := &logs.LogOptions{}
	if len(os.Args) > 2 {
		lines, err := strconv.ParseInt(os.Args[2], 10, 64)
		must(err)
		options.TailLines = &lines
	}
	var out, errors bytes.Buffer
	must(logs.ReadLogs(context.Background(), os.Args[1], "", options, nil, &out, &errors))
	served := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	fmt.Printf("served %d %d\n", len(served), len(served[len(served)-1]))
}

// As a runtime writes it: a time, the stream, and whether more of the line follows.
func write(path string) {
	var log strings.Builder
	line := func(text string) {
		for len(text) > cut {
			fmt.Fprintf(&log, "2026-11-30T12:00:00.000000000Z stdout P %s\n", text[:cut])
			text = text[cut:]
		}
		fmt.Fprintf(&log, "2026-11-30T12:00:00.000000000Z stdout F %s\n", text)
	}
	line("starting")
	line(strings.Repeat("x", 40000))
	must(os.WriteFile(path, []byte(log.String()), 0o600))
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO

echo "k8s.io/cri-client $cri_client, a log of 2 lines, the second in 3 parts: lines served, and letters of the last one"
ask "$folder/log"
expect "the whole log" "2 40000" "$(says served)"
for wanted in "1 1 7232" "2 1 23616" "3 1 40000" "4 2 40000"; do
    read -r lines served letters <<<"$wanted"
    ask "$folder/log" "$lines"
    expect "the last $lines" "$served $letters" "$(says served)"
done
conclude
