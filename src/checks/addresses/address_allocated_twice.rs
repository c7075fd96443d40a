//! IPA104: one address, allocated in two blocks that overlap.

use super::duplicate_pod_address;
use crate::checks::prelude::*;

pub static CHECK: Check = Check {
    code: Code(104),
    name: "address-allocated-twice",
    severity: Severity::Critical,
    needs: Needs::B,
    steady: Steady::OneMoment,
    subject: SubjectKind::Address,
    finds: "An address that two overlapping blocks both have allocated.",
    matters: "IPAM itself has given one address to two owners, and neither compare-and-swap could notice: each block \
        is right by itself. Both nodes believe the address theirs.",
    arises: "A pool's block size was changed while blocks of the old size were in use: Calico then claims a small \
        block inside a larger one, or pools overlap.",
    action: "Restart the pods of one of the two blocks, those of the smaller block first, so that it can be given up. \
        Never release such an address: by address Calico looks into one of the blocks only. Then see IPA302.",
    silent: "One of the two allocations is cooling down.",
    ties: Ties { harm: Harm::Outage, many: "addresses allocated twice", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let twice = world.ledger.allocations.chunk_by(|a, b| a.address == b.address).filter(|here| here.len() > 1);
    findings.extend(twice.filter_map(|here| judge(world, here)));
}

fn judge(world: &World<'_>, here: &[Allocation]) -> Option<Finding> {
    let mut taken: Vec<&Allocation> = here.iter().filter(|a| a.used_for != Use::Cooling).collect();
    // The smallest block first: it is the one to empty.
    taken.sort_by_key(|a| std::cmp::Reverse(world.ledger.block_of(a).cidr.prefix()));
    match taken.as_slice() {
        [smallest, _, ..] => Some(report(world, smallest, &taken)),
        _ => None,
    }
}

fn report(world: &World<'_>, smallest: &Allocation, taken: &[&Allocation]) -> Finding {
    let ledger = world.ledger;
    let address = smallest.address;
    let blocks: Vec<Cidr> = taken.iter().map(|a| ledger.block_of(a).cidr).collect();
    let owner = |a: &&Allocation| world.named_by(a).unwrap_or_else(|| "nobody by name".to_owned());
    let owners: Vec<String> = taken.iter().map(owner).collect();
    let pod = world.pod_of(smallest);
    // Whom IPA101 keeps, nobody restarts.
    let restart = pod.filter(|pod| world.kept_at(address).is_none_or(|kept| kept.uid != pod.uid));
    let parts: Vec<String> = blocks.iter().zip(&owners).map(|(block, owner)| format!("{block} to {owner}")).collect();
    world
        .draft(&CHECK, address, format!("given away by {}", few(&parts, " and by ")))
        .advice(advice(world, address, pod))
        .restarts_pods(pod.is_none() || restart.is_some())
        .fact("blocks", blocks)
        .fact("owners", owners)
        .list("ipam", taken.iter(), |a| world.allocation_facts(a))
        .on_node(ledger.owner_node(smallest))
        .in_pool_of(address)
        .with_each(taken, |d, a| d.rests_on_allocation(a))
        .restart_each(restart)
        .next(format!("ipaudit who {address}"))
        .done()
}

/// `pod`: whom the smaller block gave it to.
fn advice(world: &World<'_>, address: Addr, pod: Option<&Pod>) -> String {
    let code = duplicate_pod_address::CHECK.code;
    match (pod, world.kept_at(address)) {
        (Some(pod), Some(kept)) if kept.uid == pod.uid => {
            format!("{code} comes first, which keeps {}; never release this address", world.pod_id(kept))
        }
        (Some(pod), _) => {
            let restart = world.restart_words(&[pod], |_| String::new());
            format!("empty the smaller block: {restart}; never release this address")
        }
        (None, _) => "empty the smaller block: restart its pods; never release this address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::{AttributeFields, Input, InputState};

    /// node-2 owns a /28 inside node-1's /26, and web-4 got 10.65.0.1 from it, which is web-0's.
    fn overlapping() -> Cluster {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        let small = c.snapshot.blocks.pop().unwrap();
        c.snapshot.blocks.insert(0, small);
        c.workload("shop", "web-4", "node-2", &["10.65.0.1"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn both_blocks_and_both_owners_are_told_and_the_smaller_is_to_be_emptied() {
        let found = overlapping().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.1"));
        assert_eq!(found[0].summary, "given away by 10.65.0.0/28 to shop/web-4 and by 10.65.0.0/26 to shop/web-0");
        assert_eq!(found[0].next, ["kubectl -n shop delete pod web-4", "ipaudit who 10.65.0.1"]);
        let says = "empty the smaller block: restart shop/web-4; never release this address";
        assert_eq!(found[0].advice, says);
        assert_eq!(found[0].rests.len(), 2);
    }

    /// Of two overlapping blocks the wider one's pod keeps the address, so IPA101 restarts whom this one does.
    #[test]
    fn nobody_is_restarted_whom_the_duplicate_keeps() {
        let mut c = overlapping();
        let found = c.find(&duplicate_pod_address::CHECK);
        assert_eq!(found[0].advice, "IPAM gave it to shop/web-0: keep that, restart shop/web-4");
        // web-0 is gone, and somebody else has its address now.
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        c.pod("shop", "thief", "node-1", &["10.65.0.1"]);
        c.endpoint("shop", "thief", "node-1", "7e1f", &["10.65.0.1"]);
        let found = c.find(&duplicate_pod_address::CHECK);
        assert_eq!(found[0].advice, "IPAM gave it to shop/web-4: keep that, restart shop/thief");
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "IPA101 comes first, which keeps shop/web-4; never release this address");
        assert_eq!(found[0].next, ["ipaudit who 10.65.0.1"]);
    }

    #[test]
    fn it_is_found_without_kubernetes_and_whoever_owns_it() {
        let mut c = overlapping();
        for input in [Input::Pods, Input::KubeNodes, Input::Services] {
            c.snapshot.coverage.set(input, InputState::NotAsked, "");
        }
        c.snapshot.pods.clear();
        c.snapshot.kube_nodes.clear();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].next.as_slice()), (1, &["ipaudit who 10.65.0.1".into()][..]));
    }

    #[test]
    fn overlap_alone_or_a_cooling_allocation_is_none() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        assert!(c.find(&CHECK).is_empty());
        let mut c = overlapping();
        let now = c.snapshot.now;
        *c.attribute_mut("10.65.0.1") = AttributeFields { released_at: Some(now), ..AttributeFields::default() };
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn two_spellings_of_one_block_are_one_block() {
        let mut c = Cluster::healthy();
        let mut odd = c.snapshot.blocks[0].clone();
        odd.odd_key = Some((*b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.5-26").into());
        c.snapshot.blocks.push(odd);
        assert!(c.find(&CHECK).is_empty());
    }
}
