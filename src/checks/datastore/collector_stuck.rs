//! IPA904: leaks stay, so nobody collects them.

use std::collections::BTreeMap;

use super::common::is_undecodable;
use crate::checks::addresses::leaked_address::{self, Proof};
use crate::checks::evidence::count;
use crate::checks::obstacle;
use crate::checks::prelude::*;
use crate::model::{Past, Time, keys};

pub static CHECK: Check = Check {
    code: Code(904),
    name: "collector-stuck",
    severity: Severity::Warning,
    needs: Needs::D.and(Needs::C),
    // A leak that an audit recorded four graces ago, and the very same is proven now: that is twice.
    steady: Steady::EarlierAudit,
    subject: SubjectKind::Cluster,
    finds: "The same proven leak (IPA110) in the audits of more than four times the leak grace period. Either it is of \
        a kind that Calico's kube-controllers collect, and they do not; or the reason is told why they never will.",
    matters: "Leaks only grow from here on, until pools run out.",
    arises: "kube-controllers do not run, crash, have lost their way in a conflict that they repeat for ever, or were \
        told not to collect; or the leak lacks what they go by.",
    action: "Look at kube-controllers' log and restart them. What they never take: `ipaudit release`.",
    silent: "Leaks that are younger, or whose allocation is another one than in the earlier audits.",
    ties: Ties::ANYBODYS,
    run,
};

/// So many grace periods a leak may stay before somebody should have collected it.
const GRACES: u32 = 4;
/// So many addresses of each kind are shown.
const SHOWN: usize = 10;

/// Why Calico's collector never takes a leak (domain facts, section 8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Never {
    NoHandle,
    SwitchedOff,
    PodWithoutAddress,
    HandleInUse,
}

impl Never {
    fn words(self) -> &'static str {
        match self {
            Never::NoHandle => "the allocation has no handle",
            Never::SwitchedOff => "leakGracePeriod is 0s: nothing is collected on nodes that exist",
            Never::PodWithoutAddress => "a pod of that name has no address yet, which counts as valid for ever",
            Never::HandleInUse => "another address of its handle is not leaked",
        }
    }
}

/// A leak that stays.
struct Stuck {
    address: Addr,
    since: Time,
    never: Option<Never>,
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let Some(past) = world.past else { return };
    let leaks_are_known = obstacle(&leaked_address::CHECK, world).is_none();
    if !leaks_are_known || is_undecodable(world, keys::KUBE_CONTROLLERS) {
        return;
    }
    let leaks = past.open.subjects(leaked_address::CHECK.code, SubjectKind::Address);
    let addresses = leaks.filter_map(|subject| subject.parse::<Addr>().ok());
    let mut stuck: Vec<Stuck> =
        addresses.flat_map(|a| world.ledger.allocations_at(a)).filter_map(|a| judge(world, past, a)).collect();
    stuck.sort_by_key(|s| (s.address, s.since));
    if !stuck.is_empty() {
        findings.push(report(world, &stuck));
    }
}

/// The leak of an allocation, when it is proven now and the very same has been for too long.
fn judge(world: &World<'_>, past: &Past, allocation: &Allocation) -> Option<Stuck> {
    let proof = leaked_address::proof(world, allocation)?;
    let known = past.open.get(leaked_address::CHECK.code, SubjectKind::Address, &allocation.address.to_string())?;
    // The address may have changed hands and leaked once more: then it is another leak.
    let recorded = past.allocations.get(&world.ledger.tuple_of(allocation))?;
    let since = known.first_seen.max(recorded);
    let limit = world.snapshot.kube_controllers.grace().saturating_mul(GRACES);
    let stays = world.snapshot.now.since(since) > limit;
    stays.then(|| Stuck { address: allocation.address, since, never: never(world, allocation, &proof) })
}

fn never(world: &World<'_>, allocation: &Allocation, proof: &Proof<'_>) -> Option<Never> {
    let ledger = world.ledger;
    let node = ledger.owner_node(allocation);
    let Some(handle) = ledger.handle_of(allocation) else { return Some(Never::NoHandle) };
    let pod = match proof {
        Proof::NoSuchPod => None,
        Proof::Finished(pod) | Proof::OtherContainer(pod) | Proof::OlderThanPod(pod) => Some(pod),
    };
    let exists = ledger.scope.standing(node) == Standing::Ours;
    // A pod that moved away from a node that exists is a candidate whatever its status says.
    let moved = |p: &Pod| exists && !p.node.is_none() && p.node != ledger.scope.kubernetes_name(node);
    if pod.is_some_and(|p| p.addresses().is_empty() && !moved(p)) {
        return Some(Never::PodWithoutAddress);
    }
    if ledger.allocations_of(handle).any(|a| leaked_address::proof(world, a).is_none()) {
        return Some(Never::HandleInUse);
    }
    let off = world.snapshot.kube_controllers.leak_grace.is_some_and(|grace| grace.is_zero());
    (off && exists).then_some(Never::SwitchedOff)
}

fn report(world: &World<'_>, stuck: &[Stuck]) -> Finding {
    let snapshot = world.snapshot;
    let collectable: Vec<&Stuck> = stuck.iter().filter(|s| s.never.is_none()).collect();
    let mut reasons: BTreeMap<Never, Vec<&Stuck>> = BTreeMap::new();
    for (never, leak) in stuck.iter().filter_map(|leak| Some((leak.never?, leak))) {
        reasons.entry(never).or_default().push(leak);
    }
    let oldest = stuck.iter().map(|s| s.since).min();
    let locked = snapshot.cluster.meta.is_some() && snapshot.cluster.ready != Some(true);
    let absent = snapshot.kube_controllers.meta.is_none();
    let why = match (locked, absent) {
        (true, _) => "the datastore is locked, so the collector sits still",
        (_, true) => "kube-controllers have left no configuration here: perhaps they never ran",
        _ => "kube-controllers do not collect",
    };
    let kept = count(stuck.len(), "leak");
    let words: Vec<&str> = reasons.keys().map(|never| never.words()).collect();
    let summary = match collectable.is_empty() {
        false => format!("{kept} for more than {GRACES} leak grace periods: {why}"),
        true => format!("{kept} that Calico's collector never takes: {}", words.join("; ")),
    };
    let shown = |leaks: &[&Stuck]| leaks.iter().take(SHOWN).map(|s| s.address).collect::<Vec<_>>();
    let facts = |(never, leaks): (&Never, &Vec<&Stuck>)| {
        Evidence::new().with("reason", never.words()).with("leaks", leaks.len()).with("addresses", shown(leaks))
    };
    world
        .draft(&CHECK, world.snapshot.guid(), summary)
        .advice(match collectable.is_empty() {
            false => "look at kube-controllers' log and restart them: that gives each such address back",
            true => "nobody else gives such an address back",
        })
        .restarts_pods(!collectable.is_empty())
        .fact("leaks", stuck.len())
        .fact("collectable", collectable.len())
        .fact("addresses", shown(&collectable))
        .list("never", &reasons, facts)
        .fact("oldest", oldest)
        .fact("grace_seconds", snapshot.kube_controllers.grace().as_secs())
        .fact("datastore_locked", locked)
        .fact("configuration_absent", absent)
        .since(oldest)
        .next("kubectl get pods --all-namespaces -l k8s-app=calico-kube-controllers")
        .next("kubectl -n kube-system logs deployment/calico-kube-controllers --tail=100")
        .next(format!("ipaudit release --code {} --older-than 24h", leaked_address::CHECK.code))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::Ledger;
    use crate::model::{OpenFindings, PastFinding, Phase};
    use std::time::Duration;

    /// web-0 is gone; its address has been leaked in every audit of the last `seconds`.
    fn leaked(seconds: u64) -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        remember(&mut c, seconds);
        c
    }

    fn remember(c: &mut Cluster, seconds: u64) {
        let snapshot = c.snapshot();
        let first_seen = c.ago(seconds);
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let allocations = ledger.allocations.iter().map(|a| (ledger.tuple_of(a), first_seen)).collect();
        let known = PastFinding::seen_once(first_seen, 1, first_seen);
        let open = [(Code(110), SubjectKind::Address, "10.65.0.1", known)].into_iter().collect();
        c.past = Some(Past { audits: 9, open, allocations, ..Past::default() });
    }

    fn told(c: &mut Cluster) -> Option<String> {
        c.find(&CHECK).into_iter().next().map(|f| f.summary.raw().to_owned())
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.past = Some(Past { audits: 9, ..Past::default() });
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn four_grace_periods_are_the_limit() {
        assert!(leaked(3_600).find(&CHECK).is_empty());
        let found = leaked(3_601).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "guid-1"));
        assert_eq!(found[0].summary, "1 leak for more than 4 leak grace periods: kube-controllers do not collect");
        let mut c = leaked(3_601);
        c.snapshot.kube_controllers.leak_grace = Some(Duration::from_secs(1_000));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn it_must_be_the_same_leak_and_still_be_one() {
        let mut c = leaked(7_200);
        c.block_mut("10.65.0.0/26").allocation_sequences[1].1 += 1;
        assert!(c.find(&CHECK).is_empty(), "the address changed hands");
        let mut c = leaked(7_200);
        c.pod("shop", "web-0", "node-1", &["10.65.0.1"]);
        assert!(c.find(&CHECK).is_empty(), "held again");
        let mut c = leaked(7_200);
        c.past.as_mut().unwrap().open = OpenFindings::default();
        assert!(c.find(&CHECK).is_empty(), "never told before");
    }

    #[test]
    fn the_reason_is_told_why_the_collector_never_takes_it() {
        let never = |change: fn(&mut Cluster)| {
            let mut c = leaked(1);
            change(&mut c);
            remember(&mut c, 7_200);
            told(&mut c).unwrap()
        };
        let reason = never(|c| c.attribute_mut("10.65.0.1").handle = None);
        assert_eq!(reason, "1 leak that Calico's collector never takes: the allocation has no handle");
        let reason = never(|c| c.snapshot.kube_controllers.leak_grace = Some(Duration::ZERO));
        assert!(reason.contains("leakGracePeriod is 0s"), "{reason}");
        let reason = never(|c| {
            c.pod("shop", "web-0", "node-1", &[]).phase = Phase::Failed;
        });
        assert!(reason.contains("no address yet"), "{reason}");
        let reason = never(|c| {
            let held = c.attribute_mut("10.65.0.1").handle;
            c.attribute_mut("10.65.0.2").handle = held;
        });
        assert!(reason.contains("another address of its handle"), "{reason}");
    }

    #[test]
    fn a_lock_or_a_collector_that_never_ran_is_told() {
        let mut c = leaked(7_200);
        c.snapshot.cluster.ready = Some(false);
        assert!(told(&mut c).unwrap().ends_with("the datastore is locked, so the collector sits still"));
        let mut c = leaked(7_200);
        c.snapshot.kube_controllers.meta = None;
        assert!(told(&mut c).unwrap().contains("perhaps they never ran"));
    }

    #[test]
    fn without_pods_nobody_knows_what_leaked() {
        let mut c = leaked(7_200);
        c.snapshot.coverage.set(crate::model::Input::Pods, crate::model::InputState::Forbidden, "");
        assert!(c.find(&CHECK).is_empty());
    }
}
