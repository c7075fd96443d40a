//! IPA601: a pool that runs out of addresses.

use super::common::{block_facts, judged, number, usage, usage_facts, usage_with_leaks};
use crate::checks::addresses::leaked_address;
use crate::checks::evidence::Draft;
use crate::checks::evidence::operand::{blocks_of_pool, get_pool, in_pool};
use crate::checks::prelude::*;
use crate::ledger::PoolUsage;

pub static CHECK: Check = Check {
    code: Code(601),
    name: "pool-exhaustion",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::O),
    steady: Steady::OneMoment,
    subject: SubjectKind::Pool,
    finds: "Fewer than 10 % of a pool's addresses can still be handed out; an error under 5 %. Leaked addresses are \
        counted apart.",
    matters: "When nothing is left no pod of that pool can start, on any node, until addresses come back.",
    arises: "The cluster grew, leaks were never collected, or a reservation takes the rest.",
    action: "Release what is leaked (IPA110); else add a pool, or make this one's reservations smaller.",
    silent: "Pools that are disabled, being deleted, assigned by hand, for LoadBalancer addresses only, or of fewer \
        than 64 addresses. Addresses in blocks that do not decode may be free.",
    ties: Ties { harm: Harm::Outage, many: "pools that run out of addresses", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for pool in judged(world) {
        if let Some(severity) = severity(&usage(world, pool)) {
            let (usage, known) = usage_with_leaks(world, pool);
            findings.push(report(world, &usage, known, severity));
        }
    }
}

/// Under 10 % is a warning, under 5 % an error; what nobody knows may be free.
fn severity(usage: &PoolUsage) -> Option<Severity> {
    let assignable = usage.free.saturating_add(usage.unknown);
    let under = |percent: u128| assignable.saturating_mul(100) < usage.addresses.saturating_mul(percent);
    match (under(5), under(10)) {
        (true, _) => Some(Severity::Error),
        (_, true) => Some(Severity::Warning),
        _ => None,
    }
}

fn report(world: &World<'_>, usage: &PoolUsage, known: bool, severity: Severity) -> Finding {
    let name = world.text(usage.name);
    let permille = usage.free.saturating_mul(1000) / usage.addresses.max(1);
    let leaked = if known { format!(", {} leaked", usage.leaked) } else { String::new() };
    let percent = format!("{}.{} %", permille / 10, permille % 10);
    let summary = format!("{} of {} addresses can be handed out ({percent}){leaked}", usage.free, usage.addresses);
    let leak = leaked_address::CHECK.code;
    let leaks = (usage.leaked > 0).then(|| format!("ipaudit audit --code {leak} {} --all", in_pool(name)));
    world
        .draft(&CHECK, name, summary)
        .severity(severity)
        .advice(match usage.leaked {
            0 => "add a pool, or make its reservations smaller".to_owned(),
            _ => format!("release what is leaked ({leak}), or add a pool"),
        })
        .fact("cidr", usage.cidr)
        .fact("free_permille", number(permille))
        .fact("usage", usage_facts(usage, known))
        .fact("blocks", block_facts(&usage.blocks))
        .in_pool(usage.name)
        .next(blocks_of_pool(name))
        .next(get_pool(name))
        .with_each(leaks, Draft::next)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr, undecodable_block};
    use crate::model::{AttributeFields, Foreign, Meta, Reservation, Time};

    /// A pool of 64 addresses, the first `taken` of them allocated in one block.
    fn small(taken: u32) -> Cluster {
        let mut c = Cluster::healthy();
        c.pool("small", "10.80.0.0/26");
        c.block("10.80.0.0/26", Some("node-1"));
        for i in 0..taken {
            c.allocate(&format!("10.80.0.{i}"), AttributeFields::default());
        }
        c
    }

    fn severity_of(c: &mut Cluster) -> Option<Severity> {
        c.find(&CHECK).first().map(|f| f.severity)
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn ten_and_five_percent_are_the_thresholds() {
        assert_eq!(severity_of(&mut small(57)), None, "7 of 64 are 10.9 %");
        assert_eq!(severity_of(&mut small(58)), Some(Severity::Warning), "6 of 64 are 9.4 %");
        assert_eq!(severity_of(&mut small(60)), Some(Severity::Warning), "4 of 64 are 6.2 %");
        assert_eq!(severity_of(&mut small(61)), Some(Severity::Error), "3 of 64 are 4.7 %");
        assert_eq!(severity_of(&mut small(64)), Some(Severity::Error));
        let found = small(60).find(&CHECK);
        assert_eq!((found[0].subject.id.raw(), found[0].pool.as_ref().map(Foreign::raw)), ("small", Some("small")));
        assert_eq!(found[0].summary, "4 of 64 addresses can be handed out (6.2 %), 0 leaked");
    }

    #[test]
    fn cooling_and_reserved_addresses_cannot_be_handed_out() {
        let mut c = small(57);
        c.allocate("10.80.0.63", AttributeFields { released_at: Some(Time(0)), ..AttributeFields::default() });
        assert_eq!(severity_of(&mut c), Some(Severity::Warning));
        let mut c = small(57);
        let name = c.name("kept");
        let cidrs = [cidr("10.80.0.60/30")].into();
        c.snapshot.reservations.push(Reservation { meta: Meta::default(), name, cidrs, created: None });
        assert_eq!(severity_of(&mut c), Some(Severity::Error), "four of the seven are reserved");
    }

    #[test]
    fn leaks_are_counted_apart() {
        let mut c = small(58);
        c.workload("shop", "gone", "node-1", &["10.80.0.58"]);
        c.remove_pod("gone");
        let found = c.find(&CHECK);
        assert!(found[0].summary.raw().ends_with("(7.8 %), 1 leaked"), "{:?}", found[0].summary);
        assert!(found[0].next.contains(&"ipaudit audit --code IPA110 --pool small --all".into()));
    }

    #[test]
    fn without_kubernetes_nobody_knows_what_leaked() {
        let mut c = small(60);
        c.snapshot.coverage.set(crate::model::Input::Pods, crate::model::InputState::Forbidden, "");
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "4 of 64 addresses can be handed out (6.2 %)");
    }

    #[test]
    fn special_pools_are_not_judged() {
        for change in [
            (|c: &mut Cluster| c.snapshot.pools[1].disabled = true) as fn(&mut Cluster),
            |c| c.snapshot.pools[1].manual = true,
            |c| c.snapshot.pools[1].deleting = Some(c.snapshot.now),
            |c| {
                let pool = &mut c.snapshot.pools[1];
                (pool.workloads, pool.tunnels, pool.load_balancers) = (false, false, true);
            },
            |c| c.snapshot.pools[1].cidr = cidr("10.80.0.0/27"),
        ] {
            let mut c = small(64);
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn what_does_not_decode_may_be_free() {
        let mut c = small(0);
        c.snapshot.pools[1].cidr = cidr("10.80.0.0/25");
        for i in 0..64 {
            c.allocate(&format!("10.80.0.{i}"), AttributeFields::default());
        }
        c.snapshot.bad_values.push(undecodable_block("10.80.0.64/26"));
        assert!(c.find(&CHECK).is_empty());
    }
}
