//! IPA307: a block or an affinity under a key that Calico lists and never reads or writes.

use crate::checks::evidence::get_key;
use crate::checks::prelude::*;
use crate::model::keys;

pub static CHECK: Check = Check {
    code: Code(307),
    name: "non-canonical-key",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::A),
    steady: Steady::OneMoment,
    subject: SubjectKind::Key,
    finds: "The key of a block or of an affinity that is not the canonical spelling of its CIDR: host bits, the \
        segment of the wrong family, another spelling of an IPv6 address; also where the canonical key exists beside \
        it.",
    matters: "Calico's lists parse keys leniently and see the block; its reads and writes go to the canonical key and \
        do not. Addresses recorded here can never be released, and every command that lists them says otherwise.",
    arises: "Written by hand, by a script, or by a foreign tool.",
    action: "Compare both keys. What is only here and still used belongs under the canonical key; then delete this \
        one.",
    silent: "Two spellings of one block are this finding alone: the block itself is judged once, by its canonical key. \
        Keys whose CIDR does not parse are IPA901, malformed handle ids IPA205.",
    ties: Ties::ANYBODYS,
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let blocks = world.snapshot.blocks.iter().filter_map(|b| Some(OddKey::of_block(world, b, b.odd_key.as_deref()?)));
    let affinities = &world.snapshot.affinities;
    let affinities = affinities.iter().filter_map(|a| Some(OddKey::of_affinity(world, a, a.odd_key.as_deref()?)));
    findings.extend(blocks.chain(affinities).map(|odd| report(world, &odd)));
}

/// A key that is not the canonical one.
#[derive(Debug)]
struct OddKey {
    key: String,
    canonical: String,
    /// Whether the canonical key exists too.
    twin: bool,
    cidr: Cidr,
    /// `None`: it is a block's.
    host: Option<Host>,
    allocated: usize,
    mod_revision: i64,
}

impl OddKey {
    fn of_block(world: &World<'_>, block: &Block, odd: &[u8]) -> OddKey {
        OddKey {
            key: keys::key_text(odd),
            canonical: keys::block_key(block.cidr),
            twin: world.ledger.block(block.cidr).is_some_and(|judged| judged.odd_key.is_none()),
            cidr: block.cidr,
            host: None,
            allocated: block.allocated().count(),
            mod_revision: block.meta.mod_revision,
        }
    }

    fn of_affinity(world: &World<'_>, affinity: &Affinity, odd: &[u8]) -> OddKey {
        let host = affinity.host;
        let mut judged = world.ledger.affinities_for(affinity.cidr).filter(|judged| judged.host == host);
        OddKey {
            key: keys::key_text(odd),
            canonical: keys::affinity_key(host.kind, world.text(host.name), affinity.cidr),
            twin: judged.any(|judged| judged.odd_key.is_none()),
            cidr: affinity.cidr,
            host: Some(host),
            allocated: 0,
            mod_revision: affinity.meta.mod_revision,
        }
    }

    /// What is odd about the spelling.
    fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        let (path, written) = self.key.rsplit_once("/block/").unwrap_or_default();
        if path.rsplit_once('/').map(|(_, family)| family) != Some(if self.cidr.is_v4() { "ipv4" } else { "ipv6" }) {
            reasons.push("wrong family segment");
        }
        if Cidr::parse(&written.replacen('-', "/", 1)).is_some_and(|(_, host_bits)| host_bits) {
            reasons.push("host bits");
        }
        if reasons.is_empty() {
            reasons.push("another spelling of the address");
        }
        reasons
    }
}

fn report(world: &World<'_>, odd: &OddKey) -> Finding {
    let what = match odd.host {
        Some(host) => format!("affinity of {} for {}", world.host_id(host), odd.cidr),
        None => format!("block {}", odd.cidr),
    };
    let reasons = odd.reasons().join(", ");
    let twin = if odd.twin { ", and the canonical key exists too" } else { "" };
    let advice = match (odd.twin, odd.allocated) {
        (_, 1..) => "see who uses the addresses recorded here, before this key is deleted",
        (true, 0) => "the canonical key is the one that counts: this one can be deleted",
        (false, 0) => "no read or write of Calico's reaches this key",
    };
    let draft = world
        .draft(&CHECK, odd.key.clone(), format!("{what}: {reasons}{twin}"))
        .advice(advice)
        .fact("cidr", odd.cidr)
        .fact("canonical_key", odd.canonical.clone())
        .fact("canonical_exists", odd.twin)
        .fact("reasons", odd.reasons())
        .fact("allocated", odd.allocated)
        .fact("mod_revision", odd.mod_revision)
        .in_pool_of(odd.cidr.first())
        .next(get_key(&odd.key))
        .next(get_key(&odd.canonical));
    match odd.host {
        Some(host) => draft.on_node(host.name).looks_at(Look::Affinity(host, odd.cidr)).done(),
        None => draft.looks_at(Look::Block(odd.cidr)).done(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::AffinityState;

    const HOST_BITS: &str = "/calico/ipam/v2/assignment/ipv4/block/10.65.0.5-26";

    fn summary(c: &mut Cluster) -> (String, String) {
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1);
        (found[0].subject.id.raw().to_owned(), found[0].summary.raw().to_owned())
    }

    fn odd(text: &str) -> Option<Box<[u8]>> {
        Some(text.as_bytes().into())
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_block_under_an_odd_key_alone_and_beside_its_canonical_one() {
        let mut c = Cluster::healthy();
        c.block_mut("10.65.0.0/26").odd_key = odd(HOST_BITS);
        assert_eq!(summary(&mut c), (HOST_BITS.to_owned(), "block 10.65.0.0/26: host bits".to_owned()));
        assert_eq!(
            c.find(&CHECK)[0].next,
            [
                format!("etcdctl get {HOST_BITS}"),
                "etcdctl get /calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26".to_owned(),
            ]
        );
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/26", None);
        c.snapshot.blocks.last_mut().unwrap().odd_key = odd(HOST_BITS);
        assert_eq!(summary(&mut c).1, "block 10.65.0.0/26: host bits, and the canonical key exists too");
    }

    #[test]
    fn family_and_spelling_are_told_apart() {
        let mut c = Cluster::healthy();
        c.block_mut("10.65.0.0/26").odd_key = odd("/calico/ipam/v2/assignment/ipv6/block/10.65.0.9-26");
        assert_eq!(summary(&mut c).1, "block 10.65.0.0/26: wrong family segment, host bits");
        let mut c = Cluster::healthy();
        c.block("fd00:65::/122", None);
        let key = "/calico/ipam/v2/assignment/ipv6/block/FD00:65:0::-122";
        c.block_mut("fd00:65::/122").odd_key = odd(key);
        assert_eq!(summary(&mut c).1, "block fd00:65::/122: another spelling of the address");
    }

    #[test]
    fn affinities_have_keys_too() {
        let mut c = Cluster::healthy();
        let host = c.host("node-1");
        c.affinity(host, "10.65.0.0/26", AffinityState::Confirmed);
        let key = "/calico/ipam/v2/host/node-1/ipv6/block/10.65.0.0-26";
        c.snapshot.affinities.last_mut().unwrap().odd_key = odd(key);
        let expected =
            "affinity of host:node-1 for 10.65.0.0/26: wrong family segment, and the canonical key exists too";
        assert_eq!(summary(&mut c), (key.to_owned(), expected.to_owned()));
    }

    #[test]
    fn a_handle_s_odd_id_is_another_matter() {
        let mut c = Cluster::healthy();
        c.handle_mut(&Cluster::handle_id("shop", "web-0")).odd_id = odd("x\r\neth0");
        assert!(c.find(&CHECK).is_empty());
    }
}
