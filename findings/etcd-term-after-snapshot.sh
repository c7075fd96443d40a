#!/usr/bin/env bash
# A member's answers name the raft term of the last entry that this member has applied. A member that was away while another
# one was elected, and that caught up by the leader's snapshot, goes on naming the term of before until the next write, in
# linearizable answers too, at the same revision as everybody else. So a client that moves from one member to another sees
# the term fall within one life of the cluster.
#
# Why it matters: a term that fell is the cheapest sign that an etcd was restored from a backup. Taken from any answer, it
# says so of a healthy cluster in which a member was away for a while (a node that was drained, a disk that stalled).
# Seen from the member's own status: `raftAppliedIndex` is behind `raftIndex` until somebody writes.
#
# Seen on 29 November 2026 with three members of 3.7.3, snapshots every 50 entries; the member was stopped, missed 1,500
# writes and then an election:
#   after its return: revision as the others', term smaller than theirs, applied index behind
#   after one write:  term as the others', nothing behind
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

var ctx context.Context

// client roles MEMBER... | client elect LEADER NEXT | client compare AWAY OTHER
func main() {
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	switch os.Args[1] {
	case "roles":
		for {
			leaders, ids := 0, map[uint64]bool{}
			for place, address := range os.Args[2:] {
				is := status(address)
				if is.Leader != 0 {
					ids[is.Leader] = true
				}
				if is.Leader == is.Header.MemberId {
					leaders++
					fmt.Printf("leader %d\n", place)
				}
			}
			if leaders == 1 && len(ids) == 1 {
				return
			}
			must(ctx.Err())
			time.Sleep(100 * time.Millisecond)
		}
	case "elect":
		// More than a leader sends ahead to a member that does not answer (512 messages): the rest it must fetch.
		for n := 0; n < 1500; n++ {
			put(os.Args[2])
		}
		next := status(os.Args[3]).Header.MemberId
		_, err := pb.NewMaintenanceClient(dial(os.Args[2])).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: next})
		must(err)
		for status(os.Args[3]).Leader != next {
			must(ctx.Err())
			time.Sleep(50 * time.Millisecond)
		}
		for n := 0; n < 100; n++ {
			put(os.Args[3])
		}
	case "compare":
		away, other := os.Args[2], os.Args[3]
		for {
			mine, err := pb.NewKVClient(dial(away)).Range(ctx, &pb.RangeRequest{Key: []byte("key"), Serializable: true})
			if err == nil && mine.Header.Revision == get(other).Revision {
				break
			}
			must(ctx.Err())
			time.Sleep(50 * time.Millisecond)
		}
		say("before", away, other)
		put(other)
		for status(away).RaftAppliedIndex < status(other).RaftAppliedIndex {
			must(ctx.Err())
			time.Sleep(50 * time.Millisecond)
		}
		say("after", away, other)
	}
}

// say compares linearizable answers of the two, and the member's own indices.
func say(when, away, other string) {
	mine, theirs, own := get(away), get(other), status(away)
	word := "equal"
	if mine.RaftTerm < theirs.RaftTerm {
		word = "smaller"
	}
	fmt.Printf("%s-term %s\n", when, word)
	fmt.Printf("%s-revision %v\n", when, mine.Revision == theirs.Revision)
	fmt.Printf("%s-behind %v\n", when, own.RaftAppliedIndex < own.RaftIndex)
}

func get(address string) *pb.ResponseHeader {
	answer, err := pb.NewKVClient(dial(address)).Range(ctx, &pb.RangeRequest{Key: []byte("key")}, grpc.WaitForReady(true))
	must(err)
	return answer.Header
}

func put(address string) {
	_, err := pb.NewKVClient(dial(address)).Put(ctx, &pb.PutRequest{Key: []byte("key"), Value: []byte("value")}, grpc.WaitForReady(true))
	must(err)
}

func status(address string) *pb.StatusResponse {
	answer, err := pb.NewMaintenanceClient(dial(address)).Status(ctx, &pb.StatusRequest{}, grpc.WaitForReady(true))
	must(err)
	return answer
}

var connections = map[string]*grpc.ClientConn{}

func dial(address string) *grpc.ClientConn {
	if connections[address] == nil {
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		must(err)
		connections[address] = connection
	}
	return connections[address]
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO
new_etcd

clients=() peers=() members=() cluster=
for place in 0 1 2; do
    clients+=("$(free_port)")
    peers+=("$(free_port)")
    cluster+="${cluster:+,}member-$place=http://127.0.0.1:${peers[place]}"
done
for place in 0 1 2; do
    client_port=${clients[place]} peer_port=${peers[place]}
    launch "$new_etcd_binary" "member-$place" --initial-cluster "$cluster" --snapshot-count 50 --snapshot-catchup-entries 5 --unsafe-no-fsync
    members+=("$address")
done

ask roles "${members[@]}"
leader=$(says leader | tail -n 1)
away=$(((leader + 1) % 3)) other=$(((leader + 2) % 3))
kill -STOP "${servers[away]}"
ask elect "${members[leader]}" "${members[other]}"
kill -CONT "${servers[away]}"
ask compare "${members[away]}" "${members[other]}"

expect "etcd $etcd_new, back by a snapshot: its revision is that of the others" true "$(says before-revision)"
expect "etcd $etcd_new, back by a snapshot: its linearizable answer's term" smaller "$(says before-term)"
expect "etcd $etcd_new, back by a snapshot: entries not applied by its own status" true "$(says before-behind)"
expect "etcd $etcd_new, after one write: its term" equal "$(says after-term)"
expect "etcd $etcd_new, after one write: entries not applied" false "$(says after-behind)"
conclude
