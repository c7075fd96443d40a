//! What a CIDR means: a block, a part of one, a pool, or the blocks that lie in it; whose they are, how full, and who is in.
//!
//! A CIDR with host bits (`10.65.0.7/26`, as `ip addr` prints an address) means the network that it lies in, and the answer
//! says so.

use super::dossier::{BlockUsage, Claimed, Occupant, RangeKind, RangeSheet};
use super::word::{Word, WordKind};
use super::{AskedPlace, MatchKind, sheets};
use crate::checks::evidence;
use crate::ledger::capacity::{allocations_in, blocks_in};
use crate::ledger::{Allocation, Ledger, Use};
use crate::model::foreign::foreign;
use crate::model::number::grouped;
use crate::model::{Addr, Affinity, Block, Cidr, Finding, Foreign, Host, Input};

/// The CIDR that a word is, host bits cut; `None` for an address, also as the network of it alone.
pub fn range(word: &Word<'_>) -> Option<Cidr> {
    let (cidr, _) = Cidr::parse(word.name).filter(|_| may_be_range(word))?;
    (cidr.size() > 1).then_some(cidr)
}

fn may_be_range(word: &Word<'_>) -> bool {
    word.may_be(WordKind::Address) || word.may_be(WordKind::Pool)
}

/// The address of a CIDR with host bits, and the network that it lies in.
pub fn host_bits(word: &Word<'_>) -> Option<(Addr, Cidr)> {
    let (cidr, _) = Cidr::parse(word.name).filter(|(_, host_bits)| *host_bits && may_be_range(word))?;
    Some((Addr::parse_with_prefix(word.name)?, cidr))
}

/// The address that a word is, also as the network of it alone.
pub fn address(word: &Word<'_>) -> Option<Addr> {
    Addr::parse_with_prefix(word.name).filter(|_| word.may_be(WordKind::Address) && range(word).is_none())
}

/// Whether IPAM has anything to do with a range: else nobody has ever heard of it.
pub fn is_known(ledger: &Ledger<'_>, range: Cidr) -> bool {
    let snapshot = ledger.snapshot;
    // Of what was not read nobody can say that it is none of IPAM's.
    let unread = [Input::Pools, Input::Blocks].into_iter().any(|input| !snapshot.coverage.complete(input));
    unread
        || snapshot.pools.iter().any(|pool| pool.cidr.overlaps(range))
        || ledger.blocks().any(|block| block.cidr.overlaps(range))
        || ledger.affinities().any(|affinity| affinity.cidr.overlaps(range))
        || ledger.dark.block(range)
}

/// What kind of thing it names.
pub fn kind(ledger: &Ledger<'_>, range: Cidr) -> MatchKind {
    let is_pool = ledger.block(range).is_none() && ledger.snapshot.pools.iter().any(|pool| pool.cidr == range);
    if is_pool { MatchKind::Pool } else { MatchKind::Block }
}

/// Its sheet; who is in it, and the blocks of a wide one, at the place alone.
pub fn sheet(ledger: &Ledger<'_>, range: Cidr, place: &AskedPlace) -> RangeSheet {
    let snapshot = ledger.snapshot;
    // Of several that cover it the narrowest.
    let around = || ledger.blocks().filter(|block| block.cidr.covers(range)).max_by_key(|block| block.cidr.prefix());
    let inside: Vec<&Block> = blocks_in(ledger, range).collect();
    let is_pool = snapshot.pools.iter().any(|pool| pool.cidr == range);
    let (kind, blocks) = match (ledger.block(range), inside.as_slice(), around()) {
        (Some(block), ..) => (RangeKind::Block, vec![block]),
        _ if is_pool => (RangeKind::Pool, inside),
        (None, [], Some(block)) => (RangeKind::PartOfABlock, vec![block]),
        (None, [], None) => (RangeKind::NoBlock, inside),
        _ => (RangeKind::Blocks, inside),
    };
    let mut pools: Vec<_> = snapshot.pools.iter().filter(|pool| pool.cidr.overlaps(range)).collect();
    pools.sort_by_key(|pool| std::cmp::Reverse(pool.cidr.prefix()));
    let is_one = matches!(kind, RangeKind::Block | RangeKind::PartOfABlock);
    let listed = if is_one { allocations_in(ledger, range) } else { &[] };
    let at = |block: &Block| {
        let owns = ledger.host_of(block).is_some_and(|host| place.has_node(host));
        let uses = || ledger.allocations_of_block(block).any(|a| place.has_node(ledger.owner_node(a)));
        place.has_block(ledger, block.cidr) && (place.nodes.is_none() || owns || uses())
    };
    RangeSheet {
        range,
        kind,
        pools: pools.into_iter().map(|pool| ledger.snapshot.named(pool.name)).collect(),
        blocks: blocks.into_iter().filter(|block| is_one || at(block)).map(|block| usage(ledger, block)).collect(),
        occupants: listed
            .iter()
            .filter(|a| place.has_allocation(ledger, a))
            .map(|allocation| occupant(ledger, allocation))
            .collect(),
        claims: ledger.affinities_for(range).map(|affinity| claim(ledger, affinity)).collect(),
    }
}

fn host(ledger: &Ledger<'_>, host: Host) -> Foreign {
    foreign!("{}:{}", host.kind.word(), ledger.snapshot.named(host.name))
}

fn claim(ledger: &Ledger<'_>, affinity: &Affinity) -> Claimed {
    let state = affinity.state.word(&ledger.snapshot.names).into();
    Claimed { owner: host(ledger, affinity.host), state }
}

/// One block, before anybody says what is wrong in it.
pub fn usage(ledger: &Ledger<'_>, block: &Block) -> BlockUsage {
    BlockUsage {
        block: block.cidr,
        pool: ledger.pool_of(block.cidr).map(|pool| ledger.snapshot.named(pool.name)),
        pool_disabled: ledger.pool_of(block.cidr).is_some_and(|pool| pool.disabled),
        owner: block.affinity.map(|of| host(ledger, of)),
        claims: ledger.affinities_for(block.cidr).map(|affinity| claim(ledger, affinity)).collect(),
        size: u64::from(block.size()),
        count: ledger.count_block(block),
        findings: 0,
        wrong: Vec::new(),
    }
}

/// An address that is not free.
pub fn occupant(ledger: &Ledger<'_>, allocation: &Allocation) -> Occupant {
    let coverage = &ledger.snapshot.coverage;
    let holders = [Input::Pods, Input::Endpoints, Input::CalicoNodes, Input::Services];
    let read = holders.into_iter().all(|input| coverage.complete(input));
    let held = ledger.is_held(allocation.address);
    Occupant {
        address: allocation.address,
        allocation: sheets::allocation(ledger, allocation),
        borrowed: ledger.is_borrowed(allocation),
        held: (held || read).then_some(held),
    }
}

impl Occupant {
    /// With what it is told where there are many: its namespace, or what it is used for.
    pub fn group(&self) -> Foreign {
        let allocation = &self.allocation;
        let named = allocation.owner.as_ref().filter(|_| matches!(allocation.used_for, Use::Pod | Use::Vm));
        match named.and_then(|owner| owner.raw().split_once('/')) {
            Some((namespace, _)) => foreign!("namespace {}", namespace),
            None => allocation.used_for.word().into(),
        }
    }
}

/// One sentence that answers.
pub fn answer(sheet: &RangeSheet, ledger: &Ledger<'_>, findings: &[Finding]) -> Foreign {
    let range = sheet.range;
    // What its blocks' rows count, and what is wrong with who is in them: the same number is not said of both.
    let within: u64 = sheet.blocks.iter().map(|block| block.findings).sum();
    let about = (findings.len() as u64).saturating_sub(within);
    let counted = match (within, about) {
        (_, 0) | (0, _) => evidence::count(findings.len(), "finding"),
        (within, about) => {
            format!("{} in it and {about} about who is in it", evidence::count(within as usize, "finding"))
        }
    };
    let wrong = match findings {
        [] => String::new(),
        [one] => format!("; 1 finding, {}", one.code),
        [worst, ..] => format!("; {counted}, the worst {}", worst.code),
    };
    let pool = match sheet.pools.as_slice() {
        [] => Foreign::default(),
        [pool] => foreign!(" of pool {}", pool),
        pools => format!(" of {} pools", pools.len()).into(),
    };
    let unread = !ledger.snapshot.coverage.complete(Input::Blocks);
    match (sheet.kind, sheet.blocks.first()) {
        (RangeKind::Block, Some(block)) => foreign!("block {range} {}: {}{wrong}", whose(block), fill(&[block])),
        (RangeKind::PartOfABlock, Some(block)) => {
            let taken = sheet.occupants.iter().filter(|o| o.allocation.used_for != Use::Cooling).count();
            let of = format!("{taken} of its {} addresses allocated", range.size());
            foreign!("{range} is a part of block {}, which {}: {of}{wrong}", block.block, whose(block))
        }
        (RangeKind::Pool, _) => {
            let name = sheet.pools.first().map(|pool| foreign!(" {}", pool)).unwrap_or_default();
            foreign!("{range} is pool{}: {}{wrong}", name, sum(&sheet.blocks))
        }
        (RangeKind::Blocks, _) => foreign!("{range}{} has {}{wrong}", pool, sum(&sheet.blocks)),
        _ if unread => foreign!("the blocks were not read: nobody can say who is in {range}{}", pool),
        _ if ledger.dark.block(range) => foreign!("the block of {range}{} does not decode{wrong}", pool),
        _ => {
            let claims = Foreign::joined(sheet.claims.iter().map(|c| foreign!("{} ({})", c.owner, c.state)), " and ");
            let claimed = claims.some().map(|claims| foreign!(", though {} claims it", claims)).unwrap_or_default();
            foreign!("there is no block in {range}{}{}{wrong}", pool, claimed)
        }
    }
}

/// `8 blocks of 4 owners; 17 of 512 addresses allocated, …`
fn sum(blocks: &[BlockUsage]) -> String {
    let mut owners: Vec<&Foreign> = blocks.iter().filter_map(|block| block.owner.as_ref()).collect();
    owners.sort();
    owners.dedup();
    let ownerless = blocks.iter().filter(|block| block.owner.is_none()).count();
    let number = evidence::count(owners.len(), "owner");
    let of = match (owners.len(), ownerless) {
        (0, _) => String::new(),
        (_, 0) => format!(" of {number}"),
        (_, ownerless) => format!(" of {number}, {ownerless} without one"),
    };
    match blocks {
        [] => "no block yet".to_owned(),
        blocks => {
            format!("{}{of}; {}", evidence::count(blocks.len(), "block"), fill(&blocks.iter().collect::<Vec<_>>()))
        }
    }
}

fn whose(block: &BlockUsage) -> Foreign {
    block.owner.as_ref().map_or("has no owner".into(), |owner| foreign!("belongs to {}", owner))
}

fn fill(blocks: &[&BlockUsage]) -> String {
    let sum = |number: fn(&BlockUsage) -> u64| blocks.iter().map(|block| number(block)).fold(0, u64::saturating_add);
    let stranded = blocks.iter().filter_map(|block| block.count.stranded).fold(0, u64::saturating_add);
    let mut says =
        format!("{} of {} addresses allocated", grouped(sum(|b| b.count.allocated)), grouped(sum(|b| b.size)));
    for (number, word) in [
        (sum(|b| b.count.borrowed), "borrowed"),
        (sum(|b| b.count.cooling), "cooling"),
        (sum(|b| b.count.reserved), "reserved"),
        (sum(|b| b.count.free), "free"),
        (stranded, "stranded"),
    ] {
        if number > 0 {
            says.push_str(&format!(", {} {word}", grouped(number)));
        }
    }
    says
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::ledger::ScopeFlag;

    fn says(c: &mut Cluster, word: &str) -> String {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        answer(&sheet(&ledger, range(&Word::of(word)).unwrap(), &AskedPlace::default()), &ledger, &[]).raw().to_owned()
    }

    #[test]
    fn a_cidr_is_a_range_also_with_host_bits_and_the_network_of_one_address_is_none() {
        for word in ["10.65.0.0/26", "10.0.0.0/8", "fd00:65::/122", "0.0.0.0/0", "10.65.0.7/26", "fd00::1/64"] {
            assert!(range(&Word::of(word)).is_some() && address(&Word::of(word)).is_none(), "{word}");
        }
        for word in ["10.65.0.7", "10.65.0.0/32", "fd00::1/128"] {
            assert!(range(&Word::of(word)).is_none() && address(&Word::of(word)).is_some(), "{word}");
        }
        assert_eq!(range(&Word::of("10.65.0.7/26")), range(&Word::of("10.65.0.0/26")));
        let meant =
            host_bits(&Word::of("10.65.0.7/26")).map(|(address, network)| (address.to_string(), network.to_string()));
        assert_eq!(meant, Some(("10.65.0.7".to_owned(), "10.65.0.0/26".to_owned())));
        assert!(host_bits(&Word::of("10.65.0.0/26")).is_none());
        for word in ["shop/web-0", "10.65.0.0/33", "10.65.0/24", "node-1", "a/26", ""] {
            assert!(range(&Word::of(word)).is_none() && address(&Word::of(word)).is_none(), "{word}");
        }
    }

    #[test]
    fn every_kind_of_range_has_its_answer() {
        let mut c = Cluster::healthy();
        c.workload("shop", "guest", "node-2", &["10.65.0.9"]);
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.66").released_at = Some(now);
        c.block("10.65.1.0/26", None);
        let host = c.host("node-2");
        c.affinity(host, "10.65.2.0/26", crate::model::AffinityState::Pending);
        for (word, wanted) in [
            (
                "10.65.0.0/26",
                "block 10.65.0.0/26 belongs to host:node-1: 4 of 64 addresses allocated, 1 borrowed, 60 free",
            ),
            (
                "10.65.0.64/26",
                "block 10.65.0.64/26 belongs to host:node-2: 2 of 64 addresses allocated, 1 cooling, 61 free",
            ),
            ("10.65.1.0/26", "block 10.65.1.0/26 has no owner: 0 of 64 addresses allocated, 64 free"),
            (
                "10.65.0.8/30",
                "10.65.0.8/30 is a part of block 10.65.0.0/26, which belongs to host:node-1: 1 of its 4 addresses allocated",
            ),
            (
                "10.65.0.0/25",
                "10.65.0.0/25 of pool default has 2 blocks of 2 owners; 6 of 128 addresses allocated, 1 borrowed, 1 cooling, \
                 121 free",
            ),
            (
                "10.65.0.0/16",
                "10.65.0.0/16 is pool default: 3 blocks of 2 owners, 1 without one; 6 of 192 addresses allocated, 1 borrowed, \
                 1 cooling, 185 free",
            ),
            (
                "10.65.2.0/26",
                "there is no block in 10.65.2.0/26 of pool default, though host:node-2 (pending) claims it",
            ),
            ("10.65.9.0/26", "there is no block in 10.65.9.0/26 of pool default"),
        ] {
            assert_eq!(says(&mut c, word), wanted);
        }
        c.pool("other", "10.99.0.0/16");
        let says_all = says(&mut c, "10.0.0.0/8");
        assert!(says_all.starts_with("10.0.0.0/8 of 2 pools has 3 blocks of 2 owners, 1 without one; "), "{says_all}");
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        assert!(is_known(&ledger, cidr("10.65.9.0/26")) && !is_known(&ledger, cidr("203.0.113.0/24")));
    }

    #[test]
    fn what_was_not_read_and_what_does_not_decode_is_not_empty() {
        let mut c = Cluster::healthy();
        c.dark("10.65.9.0/26");
        let dark = says(&mut c, "10.65.9.0/26");
        assert!(dark.starts_with("the block of 10.65.9.0/26 of pool default does not decode"), "{dark}");
        c.snapshot.coverage.set(Input::Blocks, crate::model::InputState::Forbidden, "");
        let unread = says(&mut c, "10.65.8.0/26");
        assert!(unread.starts_with("the blocks were not read"), "{unread}");
        c.snapshot.coverage.set(Input::Pods, crate::model::InputState::Forbidden, "");
        c.snapshot.pods.clear();
        c.snapshot.endpoints.clear();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let sheet = sheet(&ledger, cidr("10.65.0.0/26"), &AskedPlace::default());
        let pods = sheet.occupants.iter().filter(|o| o.allocation.used_for == Use::Pod);
        assert!(pods.clone().count() > 0 && pods.clone().all(|o| o.held.is_none()), "{sheet:?}");
    }
}
