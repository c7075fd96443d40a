//! What an audit's judging costs: ten times as much of everything takes ten times as long, and not a hundred times.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::advised::obstacles;
use crate::checks::evidence::is_release;
use crate::checks::testing::Cluster;
use crate::checks::{World, run};
use crate::ledger::Ledger;
use crate::model::PastFinding;

/// Linear work gives 10, quadratic work 50 to 100. Between them a machine that is busy meanwhile has room, and the best of
/// a few tries counts.
const TIMES: u32 = 32;
const TRIES: usize = 7;

/// How long this thread has worked: what others do meanwhile does not count.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// How long its judging took, the best of a few; it has been seen before, so each release is judged.
fn took(c: &mut Cluster, advised: usize) -> Duration {
    c.remember();
    let snapshot = c.snapshot();
    let mut past = c.past.take().unwrap();
    let ledger = Ledger::build(&snapshot, c.scope, Some(&past));
    let found = run(&World { snapshot: &snapshot, ledger: &ledger, past: Some(&past) });
    let commands = found.opened().flat_map(|finding| finding.next);
    let releases = commands.filter(|command| is_release(command.raw()));
    assert!(releases.count() >= advised, "releases are advised");
    for f in &found.findings {
        let known = PastFinding::seen_once(snapshot.now, 1, snapshot.now);
        past.open.insert(f.code, f.subject.kind, f.subject.id.raw(), known);
    }
    let world = World { snapshot: &snapshot, ledger: &ledger, past: Some(&past) };
    let tries = (0..TRIES).map(|_| {
        let mut outcome = run(&world);
        let begun = worked();
        obstacles(&world, &mut outcome, snapshot.now, c.scope, true);
        worked() - begun
    });
    tries.min().unwrap()
}

fn holds(of: impl Fn(usize) -> Cluster) {
    const FEW: usize = 100;
    let [few, many] = [FEW, 10 * FEW].map(|number| took(&mut of(number), number));
    assert!(many < few * TIMES, "{few:?} for {FEW}, {many:?} for ten times as many");
}

/// `number` addresses of 10.66.0.0/16, in blocks of node-1.
fn addresses(c: &mut Cluster, number: usize) -> Vec<String> {
    c.pool("big", "10.66.0.0/16");
    let addresses = (0..number).map(|i| format!("10.66.{}.{}", i / 256, i % 256)).collect::<Vec<_>>();
    addresses.iter().step_by(64).for_each(|first| c.block(&format!("{first}/26"), Some("node-1")));
    addresses
}

/// One pod that has left an endpoint and an address on each of so many nodes.
#[test]
fn a_pod_with_endpoints_everywhere_costs_no_more_for_being_one_pod() {
    holds(|number| {
        let mut c = Cluster::healthy();
        for (i, address) in addresses(&mut c, number).iter().enumerate() {
            let (node, container) = (format!("other-{i}"), format!("{i:064x}"));
            c.node(&node, &format!("192.168.{}.{}", 1 + i / 256, i % 256));
            let id = format!("k8s-pod-network.{container}");
            let attribute = c.pod_attribute(&id, "shop", "web-0", &node);
            c.allocate(address, attribute);
            c.handle(&id, &[address]);
            c.endpoint("shop", "web-0", &node, &container, &[address]);
        }
        c
    });
}

/// So many leaks, each of a handle of its own, beside fifteen times as many blocks; one block has a second spelling.
#[test]
fn each_handle_is_judged_without_a_look_at_all_blocks() {
    holds(|number| {
        let mut c = Cluster::healthy();
        for (i, address) in addresses(&mut c, number).iter().enumerate() {
            let id = format!("k8s-pod-network.{i:064x}");
            let attribute = c.pod_attribute(&id, "shop", &format!("gone-{i}"), "node-1");
            c.allocate(address, attribute);
            c.handle(&id, &[address]);
        }
        c.pool("wide", "10.128.0.0/9");
        let mut range = String::new();
        for i in 0..15 * number {
            range.clear();
            let _ = write!(range, "10.{}.{}.{}/26", 128 + i / 1024, i / 4 % 256, i % 4 * 64);
            c.block(&range, None);
        }
        let mut odd = c.block_mut("10.65.0.64/26").clone();
        odd.odd_key = Some(b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.65-26".as_slice().into());
        c.snapshot.blocks.push(odd);
        c
    });
}

/// One handle of so many leaked addresses: each of them advises to release all.
#[test]
fn a_handle_of_many_addresses_is_judged_once() {
    holds(|number| {
        let mut c = Cluster::healthy();
        let id = format!("k8s-pod-network.{:064x}", 7);
        let all = addresses(&mut c, number);
        for address in &all {
            let attribute = c.pod_attribute(&id, "shop", "gone", "node-1");
            c.allocate(address, attribute);
        }
        c.handle(&id, &all.iter().map(String::as_str).collect::<Vec<_>>());
        c
    });
}
