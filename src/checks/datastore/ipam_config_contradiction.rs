//! IPA907: settings of IPAM that contradict each other.

use super::common::is_undecodable;
use crate::checks::prelude::*;
use crate::model::keys;

pub static CHECK: Check = Check {
    code: Code(907),
    name: "ipam-config-contradiction",
    severity: Severity::Warning,
    needs: Needs::C,
    steady: Steady::OneMoment,
    subject: SubjectKind::Cluster,
    finds: "A field of IPAMConfiguration `default` that says something else than what is in force (`ipam/v2/config`); \
        strict affinity while automatic allocation of blocks is off; a limit of blocks per host without strict \
        affinity.",
    matters: "The CNI plugin reads everything but the persistence of KubeVirt addresses from `ipam/v2/config`: whoever \
        reads the other object believes in settings that do not hold. With strict affinity and without automatic \
        allocation no node ever gets a block. Without strict affinity a host at its limit borrows instead of stopping.",
    arises: "One of the two was edited by hand or by another tool; `ipam/v2/config` was written without \
        `auto_allocate_blocks`, which then is false.",
    action: "Set what you mean with `calicoctl ipam configure`, and bring the other object into line.",
    silent: "Fields that IPAMConfiguration leaves out; two spellings of one meaning (0 and 20 blocks, no cooldown and \
        a negative one); settings that do not decode.",
    ties: Ties { harm: Harm::Threat, ..Ties::ANYBODYS },
    run,
};

/// Calico's limit of blocks a host when none is set.
const DEFAULT_BLOCKS: i64 = 20;

/// One contradiction: what is so, and the two sides.
struct Contradiction {
    what: String,
    facts: Evidence,
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    if is_undecodable(world, keys::IPAM_CONFIG) {
        return;
    }
    let mut contradictions = differences(world);
    contradictions.extend(within(world));
    if !contradictions.is_empty() {
        findings.push(report(world, contradictions));
    }
}

/// Where IPAMConfiguration says something else than what is in force.
fn differences(world: &World<'_>) -> Vec<Contradiction> {
    let (force, other) = (&world.snapshot.ipam_config, &world.snapshot.ipam_config_resource);
    let blocks = |n: i64| if n == 0 { DEFAULT_BLOCKS } else { n };
    let cooldown = |n: i64| n.max(0);
    let all = [
        differ("strictAffinity", force.strict_affinity, other.strict_affinity),
        differ("autoAllocateBlocks", force.auto_allocate_blocks, other.auto_allocate_blocks),
        differ("maxBlocksPerHost", blocks(force.max_blocks_per_host), other.max_blocks_per_host.map(blocks)),
        differ("ipCooldownSeconds", cooldown(force.cooldown_seconds), other.cooldown_seconds.map(cooldown)),
    ];
    all.into_iter().flatten().collect()
}

fn differ<T>(field: &str, force: T, other: Option<T>) -> Option<Contradiction>
where
    T: PartialEq + std::fmt::Display + Into<crate::model::Fact>,
{
    let other = other?;
    (force != other).then(|| Contradiction {
        what: format!("{field} is {force} in force, {other} in IPAMConfiguration"),
        facts: Evidence::new().with("field", field).with("in_force", force).with("ipamconfiguration", other),
    })
}

/// Settings in force that do not go together.
fn within(world: &World<'_>) -> Vec<Contradiction> {
    let force = &world.snapshot.ipam_config;
    let mut found = Vec::new();
    if force.strict_affinity && !force.auto_allocate_blocks {
        found.push(Contradiction {
            what: "strict affinity without automatic allocation: no node ever gets a block".to_owned(),
            facts: Evidence::new().with("strict_affinity", true).with("auto_allocate_blocks", false),
        });
    }
    if force.max_blocks_per_host > 0 && !force.strict_affinity {
        let limit = force.max_blocks_per_host;
        found.push(Contradiction {
            what: format!("a limit of {limit} blocks a host without strict affinity: hosts borrow instead"),
            facts: Evidence::new().with("strict_affinity", false).with("max_blocks_per_host", limit),
        });
    }
    found
}

fn report(world: &World<'_>, contradictions: Vec<Contradiction>) -> Finding {
    let told: Vec<&str> = contradictions.iter().map(|c| c.what.as_str()).collect();
    world
        .draft(&CHECK, world.snapshot.guid(), told.join("; "))
        .advice("set what you mean with calicoctl ipam configure, and bring IPAMConfiguration into line")
        .fact("config_present", world.snapshot.ipam_config.meta.is_some())
        .list("contradictions", contradictions, |c| c.facts)
        .next("calicoctl ipam show --show-configuration")
        .next(format!("etcdctl get {}", keys::IPAM_CONFIG))
        .next(format!("etcdctl get {}", keys::IPAM_CONFIGURATION))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, undecodable_block};
    use crate::model::{IpamConfig, IpamConfigResource, Meta};

    fn told(force: IpamConfig, other: IpamConfigResource) -> Option<String> {
        let mut c = Cluster::healthy();
        (c.snapshot.ipam_config, c.snapshot.ipam_config_resource) = (force, other);
        c.find(&CHECK).into_iter().next().map(|f| f.summary.raw().to_owned())
    }

    fn other() -> IpamConfigResource {
        IpamConfigResource { meta: Some(Meta::default()), ..IpamConfigResource::default() }
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
        let strict = IpamConfig { strict_affinity: true, max_blocks_per_host: 7, ..IpamConfig::default() };
        assert_eq!(told(strict, other()), None);
    }

    #[test]
    fn the_two_keys_are_compared_by_what_they_mean() {
        let says = IpamConfigResource {
            strict_affinity: Some(false),
            auto_allocate_blocks: Some(true),
            max_blocks_per_host: Some(20),
            cooldown_seconds: Some(-1),
            ..other()
        };
        assert_eq!(told(IpamConfig::default(), says.clone()), None);
        let text = told(IpamConfig::default(), IpamConfigResource { strict_affinity: Some(true), ..says.clone() });
        assert_eq!(text.as_deref(), Some("strictAffinity is false in force, true in IPAMConfiguration"));
        let text = told(
            IpamConfig::default(),
            IpamConfigResource { max_blocks_per_host: Some(7), cooldown_seconds: Some(30), ..says },
        );
        let text = text.unwrap();
        assert!(text.contains("maxBlocksPerHost is 20 in force, 7 in") && text.contains("ipCooldownSeconds"), "{text}");
    }

    #[test]
    fn settings_that_do_not_go_together() {
        let strict = IpamConfig { strict_affinity: true, auto_allocate_blocks: false, ..IpamConfig::default() };
        assert!(told(strict, other()).unwrap().starts_with("strict affinity without automatic allocation"));
        let limit = IpamConfig { max_blocks_per_host: 7, ..IpamConfig::default() };
        assert!(told(limit, other()).unwrap().starts_with("a limit of 7 blocks a host without strict affinity"));
    }

    #[test]
    fn settings_that_do_not_decode_are_not_compared() {
        let mut c = Cluster::healthy();
        c.snapshot.ipam_config_resource = IpamConfigResource { strict_affinity: Some(true), ..other() };
        let mut bad = undecodable_block("10.65.9.0/26");
        bad.key = keys::IPAM_CONFIG.as_bytes().to_vec();
        c.snapshot.bad_values.push(bad);
        assert!(c.find(&CHECK).is_empty());
    }
}
