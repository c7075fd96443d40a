//! IPA114: a released address whose cooldown is long over and that nobody has put back.

use std::time::Duration;

use crate::checks::prelude::*;
use crate::model::Time;

pub static CHECK: Check = Check {
    code: Code(114),
    name: "cooldown-overdue",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::C),
    steady: Steady::OneMoment,
    subject: SubjectKind::Address,
    finds: "An address that was released (`releasedAt`) and whose cooldown ended more than twice half the leak grace \
        (at least twice 5 minutes) ago, and that is still not free.",
    matters: "It is lost to the pool until something writes its block.",
    arises: "Any write of the block frees what has cooled down, and kube-controllers does so for blocks that nobody \
        writes. Overdue means that it does not run or is stuck; or that the cooldown was switched off by a version \
        that does not know it.",
    action: "Look at kube-controllers. The next allocation in the block frees the address as well.",
    silent: "The cooldown has not been over for long; nobody writes an idle block at once.",
    ties: Ties { many: "addresses that cool down too long", ..Ties::ANYBODYS },
    run,
};

/// Below this, half the grace says nothing about the collector's pace.
const LEAST: Duration = Duration::from_secs(5 * 60);

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let cooldown = world.snapshot.ipam_config.cooldown();
    let patience = 2 * (world.snapshot.kube_controllers.grace() / 2).max(LEAST);
    for allocation in world.ledger.allocations.iter().filter(|a| a.used_for == Use::Cooling) {
        let released = world.ledger.attribute_of(allocation).and_then(|attribute| attribute.released_at());
        let Some(released) = released else { continue };
        let over = released.plus(cooldown);
        if world.snapshot.now.since(over) > patience {
            findings.push(report(world, allocation, released, over));
        }
    }
}

fn report(world: &World<'_>, allocation: &Allocation, released: Time, over: Time) -> Finding {
    let overdue = world.snapshot.now.since(over).as_secs();
    let address = allocation.address;
    world
        .draft(&CHECK, address, format!("released at {released}, cooled down since {over}"))
        .advice("look at kube-controllers; the next allocation in the block frees it too")
        .fact("released", released)
        .fact("cooled_down", over)
        .fact("overdue_seconds", i64::try_from(overdue).unwrap_or(i64::MAX))
        .fact("cooldown_seconds", world.snapshot.ipam_config.cooldown_seconds)
        .fact("ipam", world.allocation_facts(allocation))
        .since(Some(over))
        .on_node(world.ledger.owner_node(allocation))
        .in_pool_of(address)
        .rests_on_allocation(allocation)
        .looks_at(Look::Settings)
        .next("kubectl get pods --all-namespaces -l k8s-app=calico-kube-controllers")
        .next(format!("ipaudit who {address}"))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::{AttributeFields, Input, InputState};

    const MINUTE: u64 = 60;

    /// 10.65.0.9 and .10, released together this many seconds ago; cooldown 30 s, grace 15 min.
    fn released(seconds: u64) -> Cluster {
        let mut c = Cluster::healthy();
        c.snapshot.ipam_config.cooldown_seconds = 30;
        let released_at = Some(c.ago(seconds));
        c.allocate("10.65.0.9", AttributeFields { released_at, ..AttributeFields::default() });
        let block = c.block_mut("10.65.0.0/26");
        // One attribute, shared by all ordinals of a release.
        block.allocations[10] = block.allocations[9];
        block.unallocated = block.unallocated.iter().copied().filter(|&o| o != 10).collect();
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn every_address_of_an_overdue_release_is_told() {
        let mut c = released(15 * MINUTE + 31);
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9", "10.65.0.10"]);
        assert_eq!(
            c.find(&CHECK)[0].summary,
            "released at 2026-11-24T11:44:29Z, cooled down since 2026-11-24T11:44:59Z"
        );
    }

    #[test]
    fn patience_is_twice_half_the_grace_and_at_least_ten_minutes() {
        assert!(released(15 * MINUTE + 30).find(&CHECK).is_empty(), "exactly so long is not more");
        for (grace, patience) in [(0, 15), (1, 10), (10, 10), (40, 40)] {
            let over = |seconds| {
                let mut c = released(seconds);
                c.snapshot.kube_controllers.leak_grace = Some(Duration::from_secs(grace * MINUTE));
                c.find(&CHECK).len()
            };
            assert_eq!(over(patience * MINUTE + 30), 0, "{grace}");
            assert_eq!(over(patience * MINUTE + 31), 2, "{grace}");
        }
    }

    #[test]
    fn without_a_cooldown_it_is_over_at_once_and_the_future_is_never_overdue() {
        let mut c = released(15 * MINUTE + 1);
        assert!(c.find(&CHECK).is_empty());
        for none in [0, -1] {
            c.snapshot.ipam_config.cooldown_seconds = none;
            assert_eq!(c.find(&CHECK).len(), 2);
        }
        let later = c.snapshot.now.plus(Duration::from_secs(3_600));
        c.attribute_mut("10.65.0.9").released_at = Some(later);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn it_needs_no_kubernetes() {
        let mut c = released(3_600);
        for input in [Input::Pods, Input::KubeNodes, Input::Services] {
            c.snapshot.coverage.set(input, InputState::NotAsked, "");
        }
        assert_eq!(c.find(&CHECK).len(), 2);
    }
}
