#!/usr/bin/env bash
# A range with keys_only names the lease of each key on etcd 3.4.23, and never on 3.7.3: the field is 0 there, as for a key
# without a lease. Revisions and version are filled on both.
#
# Why it matters: a tool that lists keys cheaply and asks for the values only of those that last (a backup, a copy from one
# etcd to another, whoever looks for keys that will vanish) takes each leased key for a lasting one after an upgrade. No error
# says so. Ask for the values too, or for the lease's keys (LeaseTimeToLive with keys).
#
# Seen on 29 November 2026, the same key under one lease:
#   3.4.23: keys_only lease-is-set=true version=1, whole lease-is-set=true version=1
#   3.7.3:  keys_only lease-is-set=false version=1, whole lease-is-set=true version=1
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

go_module
client <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	kv := pb.NewKVClient(conn)
	wait := grpc.WaitForReady(true)
	lease, err := pb.NewLeaseClient(conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 600}, wait)
	must(err)
	_, err = kv.Put(ctx, &pb.PutRequest{Key: []byte("key"), Value: []byte("value"), Lease: lease.ID})
	must(err)
	for _, keysOnly := range []bool{true, false} {
		answer, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("key"), KeysOnly: keysOnly})
		must(err)
		key := answer.Kvs[0]
		fmt.Printf("keys_only=%v lease-is-set=%v version=%d\n", keysOnly, key.Lease == lease.ID, key.Version)
	}
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO
new_etcd
old_etcd

start_etcd "$old_etcd_binary" old
ask "$address"
expect "etcd $etcd_old, keys_only" "lease-is-set=true version=1" "$(says keys_only=true)"
expect "etcd $etcd_old, whole" "lease-is-set=true version=1" "$(says keys_only=false)"

start_etcd "$new_etcd_binary" new
ask "$address"
expect "etcd $etcd_new, keys_only" "lease-is-set=false version=1" "$(says keys_only=true)"
expect "etcd $etcd_new, whole" "lease-is-set=true version=1" "$(says keys_only=false)"
conclude
