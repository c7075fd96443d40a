#!/usr/bin/env bash
# A learner (a member without a vote) refuses most requests with the text "etcdserver: rpc not supported for learner", under
# another gRPC code in each version: Unavailable on 3.4.23, FailedPrecondition on 3.7.3. Unavailable is the code for "try
# again": a client that goes by codes tries a 3.4 learner for ever, instead of going to another member.
#
# With authentication on there is a second one. Status is among the few requests that a learner answers, and 3.7.3 wants a
# logged-in user for it (3.4.23 does not); but Authenticate is among those that a learner refuses. So a user with a password
# cannot ask a 3.7.3 learner how it is by talking to it alone, though it answers as soon as the login comes from a voting member:
# a login of one member is good at all of them.
#
# Why it matters: whoever watches members one by one (a connection for each endpoint, each with its own login) sees a dead
# learner where a live one is.
#
# Seen on 29 November 2026:
#   3.4.23: range Unavailable; with authentication: login Unavailable, status without a login OK
#   3.7.3:  range FailedPrecondition; with authentication: login FailedPrecondition, status without a login InvalidArgument,
#           status with a voting member's login OK
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
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// client add VOTER PEER-URL | client ask VOTER LEARNER
func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	voter := dial(os.Args[2])
	if os.Args[1] == "add" {
		add := &pb.MemberAddRequest{PeerURLs: []string{os.Args[3]}, IsLearner: true}
		_, err := pb.NewClusterClient(voter).MemberAdd(ctx, add, grpc.WaitForReady(true))
		must(err)
		return
	}
	learner := dial(os.Args[3])
	kv, auth := pb.NewKVClient(learner), pb.NewAuthClient(voter)
	say := func(what string, err error) { fmt.Printf("%s %v\n", what, status.Code(err)) }
	// It has joined when a read that must not be up to date is answered, with what the voting member has.
	_, err := pb.NewKVClient(voter).Put(ctx, &pb.PutRequest{Key: []byte("key"), Value: []byte("value")})
	must(err)
	for {
		answer, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("key"), Serializable: true}, grpc.WaitForReady(true))
		if err == nil && len(answer.Kvs) == 1 {
			break
		}
		if ctx.Err() != nil {
			must(ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, err = kv.Range(ctx, &pb.RangeRequest{Key: []byte("key")})
	say("range", err)
	fmt.Printf("text %s\n", status.Convert(err).Message())

	_, err = auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "secret"})
	must(err)
	// The role exists from the beginning on newer servers.
	_, _ = auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"})
	_, err = auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
	must(err)
	_, err = auth.AuthEnable(ctx, &pb.AuthEnableRequest{})
	must(err)
	login := &pb.AuthenticateRequest{Name: "root", Password: "secret"}
	_, err = pb.NewAuthClient(learner).Authenticate(ctx, login)
	say("login", err)
	token, err := auth.Authenticate(ctx, login)
	must(err)
	with := metadata.AppendToOutgoingContext(ctx, "token", token.Token)
	// The learner has heard of both when it answers whoever has the voting member's login.
	maintenance := pb.NewMaintenanceClient(learner)
	for {
		_, err = maintenance.Status(with, &pb.StatusRequest{})
		if err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	say("status-with-a-voters-login", err)
	_, err = maintenance.Status(ctx, &pb.StatusRequest{})
	say("status-without-a-login", err)
}

func dial(address string) *grpc.ClientConn {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	return conn
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

# try BINARY NAME: a voting member, a learner, and what the learner says.
try() {
    start_etcd "$1" "$2-voter"
    local voter=$address cluster="$2-voter=http://127.0.0.1:$peer_port"
    client_port=$(free_port)
    peer_port=$(free_port)
    ask add "$voter" "http://127.0.0.1:$peer_port"
    launch "$1" "$2-learner" --initial-cluster "$cluster,$2-learner=http://127.0.0.1:$peer_port" --initial-cluster-state existing
    ask ask "$voter" "$address"
}

try "$old_etcd_binary" old
expect "etcd $etcd_old, a learner's words" "etcdserver: rpc not supported for learner" "$(says text)"
expect "etcd $etcd_old, a learner asked for a key" Unavailable "$(says range)"
expect "etcd $etcd_old, a learner asked for a login" Unavailable "$(says login)"
expect "etcd $etcd_old, its status without a login" OK "$(says status-without-a-login)"

try "$new_etcd_binary" new
expect "etcd $etcd_new, a learner's words" "etcdserver: rpc not supported for learner" "$(says text)"
expect "etcd $etcd_new, a learner asked for a key" FailedPrecondition "$(says range)"
expect "etcd $etcd_new, a learner asked for a login" FailedPrecondition "$(says login)"
expect "etcd $etcd_new, its status without a login" InvalidArgument "$(says status-without-a-login)"
expect "etcd $etcd_new, its status with a voting member's login" OK "$(says status-with-a-voters-login)"
conclude
