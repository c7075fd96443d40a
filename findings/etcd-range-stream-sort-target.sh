#!/usr/bin/env bash
# etcd 3.7.3: RangeStream refuses what it cannot do (a sort order other than ascending keys: Unimplemented), but it accepts a
# sort target other than KEY as long as the order is NONE, and then gives a wrong answer that looks whole: keys are missing,
# others come twice, `more` is false and there is no error. Each chunk is sorted by the target, and the next chunk begins
# behind the last key of the one before, whichever that is now.
#
# Why it matters: the same request as a Range ignores the target when there is no order, so that it is harmless there, and
# moving a reader from Range to RangeStream is enough to lose keys. Send no sort at all, and check that keys ascend strictly.
#
# Seen on 29 November 2026, 300 keys, written in the order of a shuffle (always the same), target MOD:
#   Range:                     300 keys, 300 distinct, more=false
#   RangeStream, no sort:      300 keys, 300 distinct, more=false
#   RangeStream, target MOD:   392 keys, 298 distinct, more=false, no error
#   RangeStream, target MOD, order ASCEND: Unimplemented
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

go_module
client <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const keys = 300

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	kv := pb.NewKVClient(conn)
	for _, n := range rand.New(rand.NewSource(7)).Perm(keys) {
		put := &pb.PutRequest{Key: fmt.Appendf(nil, "/k/%03d", n), Value: []byte("value")}
		_, err := kv.Put(ctx, put, grpc.WaitForReady(true))
		must(err)
	}
	ask := func(order pb.RangeRequest_SortOrder, target pb.RangeRequest_SortTarget) *pb.RangeRequest {
		return &pb.RangeRequest{Key: []byte("/k/"), RangeEnd: []byte("/k0"), SortOrder: order, SortTarget: target}
	}
	none, mod := pb.RangeRequest_NONE, pb.RangeRequest_MOD
	whole, err := kv.Range(ctx, ask(none, mod))
	must(err)
	seen := map[string]int{}
	for _, key := range whole.Kvs {
		seen[string(key.Key)]++
	}
	fmt.Printf("range-target %s\n", told(len(whole.Kvs), len(seen), whole.More, nil))
	stream := func(name string, request *pb.RangeRequest) {
		seen, count, more := map[string]int{}, 0, false
		answers, err := kv.RangeStream(ctx, request)
		must(err)
		for {
			var answer *pb.RangeStreamResponse
			answer, err = answers.Recv()
			if err != nil {
				break
			}
			for _, key := range answer.RangeResponse.Kvs {
				seen[string(key.Key)]++
				count++
			}
			more = answer.RangeResponse.More
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		fmt.Printf("%s %s\n", name, told(count, len(seen), more, err))
	}
	stream("stream-plain", ask(none, pb.RangeRequest_KEY))
	stream("stream-target", ask(none, mod))
	stream("stream-order", ask(pb.RangeRequest_ASCEND, mod))
}

func told(count, distinct int, more bool, err error) string {
	if err != nil {
		return fmt.Sprintf("refused: %v", status.Code(err))
	}
	whole := "whole"
	if distinct < keys {
		whole = "keys-missing"
	}
	fmt.Fprintf(os.Stderr, "        %d keys, %d distinct of %d\n", count, distinct, keys)
	return fmt.Sprintf("%s more=%v", whole, more)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO
new_etcd
start_etcd "$new_etcd_binary" new
ask "$address"
expect "etcd $etcd_new, Range with target MOD and no order" "whole more=false" "$(says range-target)"
expect "etcd $etcd_new, RangeStream without a sort" "whole more=false" "$(says stream-plain)"
expect "etcd $etcd_new, RangeStream with target MOD and no order" "keys-missing more=false" "$(says stream-target)"
expect "etcd $etcd_new, RangeStream with target MOD and order ASCEND" "refused: Unimplemented" "$(says stream-order)"
conclude
