//! IPA301: a block that contradicts itself. Calico itself panics on some of these.

use std::time::Duration;

use super::common::node_of;
use crate::checks::evidence::{count, get_key};
use crate::checks::prelude::*;
use crate::model::Time;

pub static CHECK: Check = Check {
    code: Code(301),
    name: "invalid-block",
    severity: Severity::Error,
    needs: Needs::B,
    steady: Steady::OneMoment,
    subject: SubjectKind::Block,
    finds: "A block whose parts contradict each other: an allocation without its attribute, an attribute that no \
        allocation uses, a free queue that misses, repeats or invents ordinals or holds allocated ones, lists of the \
        wrong length, a `cidr` that is not the key's, a release in the future. All broken rules of a block are one \
        finding, and each is in its evidence.",
    matters: "An allocated ordinal in the free queue is given to a second pod; a free one that is in no queue is lost. \
        On some of these Calico panics: `calicoctl ipam check` stops there, and so does the CNI plugin when it reaches \
        the block.",
    arises: "Edited by hand or by a foreign tool, a bug of an older library, versions that erase each other's fields.",
    action: "Cordon the node that the block is affine to, so that nothing new starts in the block. Restart the pods that \
        IPA120 names: they come back on other nodes, in other blocks. Save the value, then repair it while nothing \
        allocates, or empty the block and delete it together with its affinity; then uncordon the node.",
    silent: "Ordinals reserved for Windows, addresses in cooldown (which may share one attribute), `attributes: null` \
        in a new block, and clocks that differ by less than a minute are all legal. A block that does not parse is \
        IPA901, sequence numbers are IPA306.",
    ties: Ties { harm: Harm::Threat, many: "blocks that break their own rules", ..Ties::ANYBODYS },
    run,
};

/// The broken rules by which an allocation may lead nowhere: whose it is nobody can say.
pub const LEADS_NOWHERE: [&str; 3] = ["allocations-length", "negative-index", "allocation-without-attribute"];

/// A release may lie this far in the future: clocks differ (domain facts, section 2).
const SKEW: Duration = Duration::from_secs(60);

/// So many ordinals of one rule are listed; their number is always said.
const LISTED: usize = 64;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for block in world.ledger.blocks() {
        let broken = broken_rules(block, world.snapshot.now);
        if !broken.is_empty() {
            findings.push(report(world, block, &broken));
        }
    }
}

/// One broken rule of a block.
#[derive(Debug)]
struct BrokenRule {
    rule: &'static str,
    /// One line for people, without the places.
    what: String,
    /// Ordinals, or indices of attributes, as `kind` says.
    places: Vec<i64>,
    kind: &'static str,
}

/// Whether a block contradicts itself: what it hands out next is anybody's guess.
pub fn is_broken(block: &Block, now: Time) -> bool {
    !broken_rules(block, now).is_empty()
}

/// Everything that is wrong in a block by the rules of the domain facts, section 2; what does most harm first.
fn broken_rules(block: &Block, now: Time) -> Vec<BrokenRule> {
    let mut broken = Vec::new();
    shape(block, &mut broken);
    queue(block, &mut broken);
    attributes(block, now, &mut broken);
    sum(block, &mut broken);
    broken
}

/// CIDR and length.
fn shape(block: &Block, broken: &mut Vec<BrokenRule>) {
    let mut say = |rule, what| broken.push(BrokenRule { rule, what, places: Vec::new(), kind: "ordinals" });
    if let Some(cidr) = foreign_cidr(block) {
        say("cidr-not-of-key", format!("cidr {cidr} is not the key's {}", block.cidr));
    }
    let (entries, size) = (block.allocations.len(), block.size());
    if entries != size as usize {
        say("allocations-length", format!("allocations has {entries} entries for {size} addresses"));
    }
}

/// Allocated and free together are the whole block.
fn sum(block: &Block, broken: &mut Vec<BrokenRule>) {
    let (allocated, queued) = (block.allocated().count(), block.unallocated.len());
    let (sum, size) = (allocated + queued, block.size());
    if sum != size as usize {
        let what = format!("{allocated} allocated and {queued} free make {sum}, not {size}");
        broken.push(BrokenRule { rule: "sum", what, places: Vec::new(), kind: "ordinals" });
    }
}

/// The value's CIDR, when it is not the key's. With host bits set it is not, even where the network is the same:
/// Calico then counts ordinals from that address.
fn foreign_cidr(block: &Block) -> Option<String> {
    let written = block.odd_value_cidr.as_deref();
    let host_bits = written.is_some_and(|text| Cidr::parse(text).is_some_and(|(_, host_bits)| host_bits));
    (block.value_cidr != block.cidr || host_bits)
        .then(|| written.map_or_else(|| block.value_cidr.to_string(), str::to_owned))
}

/// Allocations against attributes.
fn attributes(block: &Block, now: Time, broken: &mut Vec<BrokenRule>) {
    let mut used = vec![false; block.attributes.len()];
    let (mut negative, mut dangling) = (Vec::new(), Vec::new());
    for (slot, ordinal) in block.allocations.iter().zip(0i64..) {
        let Some(index) = *slot else { continue };
        if index < 0 {
            negative.push(ordinal);
        }
        match usize::try_from(index).ok().and_then(|index| used.get_mut(index)) {
            Some(used) => *used = true,
            None => dangling.push(ordinal),
        }
    }
    let unused = used.iter().zip(0i64..).filter(|(used, _)| !**used).map(|(_, index)| index).collect();
    let late = |released: Option<Time>| released.is_some_and(|at| at > now.plus(SKEW));
    let future = block.attributes.iter().zip(0i64..).filter(|(at, _)| late(at.released_at())).map(|(_, i)| i).collect();
    let mut say = |rule, what: &str, places: Vec<i64>, kind| {
        if !places.is_empty() {
            broken.push(BrokenRule { rule, what: what.to_owned(), places, kind });
        }
    };
    say("negative-index", "allocated with a negative index", negative, "ordinals");
    say("allocation-without-attribute", "allocated without an attribute", dangling, "ordinals");
    say("attribute-unused", "used by no allocation", unused, "attributes");
    say("released-in-future", "released in the future", future, "attributes");
}

/// The free queue against the allocations.
fn queue(block: &Block, broken: &mut Vec<BrokenRule>) {
    let size = i64::from(block.size());
    let entry = |ordinal: i64| usize::try_from(ordinal).ok().and_then(|o| block.allocations.get(o));
    let mut queued: Vec<i64> = block.unallocated.iter().map(|&ordinal| i64::from(ordinal)).collect();
    queued.sort_unstable();
    let mut repeated: Vec<i64> = queued.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0]).collect();
    repeated.dedup();
    queued.dedup();
    let outside: Vec<i64> = queued.iter().copied().filter(|&o| o < 0 || o >= size).collect();
    let taken: Vec<i64> = queued.iter().copied().filter(|&o| entry(o).is_some_and(Option::is_some)).collect();
    // An ordinal without an entry (a list too short) is neither free nor allocated: the length says so.
    let free = block.allocations.iter().zip(0i64..size).filter(|(slot, _)| slot.is_none()).map(|(_, o)| o);
    let missing: Vec<i64> = free.filter(|o| queued.binary_search(o).is_err()).collect();
    let rules = [
        ("queued-though-allocated", "allocated, and in the free queue too", taken),
        ("queued-twice", "more than once in the free queue", repeated),
        ("queued-outside-block", "in the free queue, but not in the block", outside),
        ("free-not-queued", "free, but not in the free queue", missing),
    ];
    for (rule, what, places) in rules {
        if !places.is_empty() {
            broken.push(BrokenRule { rule, what: what.to_owned(), places, kind: "ordinals" });
        }
    }
}

impl BrokenRule {
    /// `ordinal 3 allocated without an attribute`.
    fn text(&self) -> String {
        let shown: Vec<String> = self.places.iter().take(8).map(i64::to_string).collect();
        let (shown, more) = (shown.join(", "), self.places.len().saturating_sub(shown.len()));
        match self.places.len() {
            0 => self.what.clone(),
            1 => format!("{} {shown} {}", self.kind.trim_end_matches('s'), self.what),
            _ if more == 0 => format!("{} {shown} {}", self.kind, self.what),
            _ => format!("{} {shown} and {more} more {}", self.kind, self.what),
        }
    }

    fn facts(&self) -> Evidence {
        let mut facts = Evidence::new().with("rule", self.rule).with("text", self.text());
        if !self.places.is_empty() {
            facts.push(self.kind, self.places.iter().copied().take(LISTED).collect::<Vec<i64>>());
            facts.push("count", self.places.len());
        }
        facts
    }
}

fn report(world: &World<'_>, block: &Block, broken: &[BrokenRule]) -> Finding {
    let summary = match broken {
        [one] => one.text(),
        [first, rest @ ..] => format!("{}; {}", first.text(), count(rest.len(), "more broken rule")),
        [] => String::new(),
    };
    world
        .draft(&CHECK, block.cidr, summary)
        .advice("save the value, see which pods hold its addresses, and repair it while nothing allocates")
        .list("broken", broken.iter(), BrokenRule::facts)
        .fact("state", world.block_facts(block))
        .fact("mod_revision", block.meta.mod_revision)
        .on_node(node_of(block))
        .in_pool_of(block.cidr.first())
        .next(get_key(&world.block_key(block)))
        .rests_on_block(block)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, Opened, cidr};
    use crate::model::{Attribute, AttributeFields, Fact, Foreign, HandleId};

    /// The rules that are broken in node-1's block after `damage`, with the places of each.
    fn broken(damage: impl FnOnce(&mut Block)) -> Vec<(String, Vec<i64>)> {
        let mut c = Cluster::healthy();
        damage(c.block_mut("10.65.0.0/26"));
        let found = c.find(&CHECK);
        assert!(found.len() < 2, "one finding a block");
        let Some(found) = found.first() else { return Vec::new() };
        assert_eq!((found.subject.id.raw(), found.severity), ("10.65.0.0/26", Severity::Error));
        assert_eq!(found.node.as_ref().map(Foreign::raw), Some("node-1"));
        assert_eq!(found.next, ["etcdctl get /calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26"]);
        let Some(Fact::List(list)) = found.evidence.get("broken") else { return Vec::new() };
        list.iter().map(|fact| rule_and_places(fact).unwrap()).collect()
    }

    fn rule_and_places(fact: &Fact) -> Option<(String, Vec<i64>)> {
        let Fact::Fields(fields) = fact else { return None };
        let Some(Fact::Text(rule)) = fields.get("rule") else { return None };
        let places = match fields.get("ordinals").or_else(|| fields.get("attributes")) {
            Some(Fact::List(list)) => list.iter().map(|f| if let Fact::Number(n) = f { *n } else { -99 }).collect(),
            _ => Vec::new(),
        };
        Some((rule.raw().to_owned(), places))
    }

    fn rules(expected: &[(&str, &[i64])]) -> Vec<(String, Vec<i64>)> {
        expected.iter().map(|(rule, places)| ((*rule).to_owned(), places.to_vec())).collect()
    }

    fn queue_of(block: &mut Block, change: impl FnOnce(&mut Vec<i32>)) {
        let mut queue = std::mem::take(&mut block.unallocated).into_vec();
        change(&mut queue);
        block.unallocated = queue.into();
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.block("10.65.1.0/26", Some("node-1"));
        c.block("fd00:65::/122", None);
        assert!(c.find(&CHECK).is_empty(), "attributes of a new block are null");
    }

    #[test]
    fn windows_and_shared_cooldown_attributes_are_legal() {
        let mut c = Cluster::healthy();
        let windows = HandleId::intern(&mut c.snapshot.names, "Windows-Reserved-IPAM-Handle");
        let now = c.snapshot.now;
        c.block("10.65.1.0/26", Some("node-1"));
        let block = c.block_mut("10.65.1.0/26");
        for (ordinal, index) in [(0, 0), (1, 0), (2, 0), (63, 0), (7, 1), (8, 1)] {
            block.allocations[ordinal] = Some(index);
        }
        queue_of(block, |queue| queue.retain(|o| ![0, 1, 2, 63, 7, 8].contains(o)));
        let cooling =
            AttributeFields { released_at: Some(now.plus(Duration::from_secs(59))), ..AttributeFields::default() };
        block.attributes =
            [AttributeFields { handle: windows, ..AttributeFields::default() }, cooling].map(Into::into).into();
        assert!(c.find(&CHECK).is_empty());
        let late = c.snapshot.now.plus(Duration::from_secs(61));
        Opened::of(&mut c.block_mut("10.65.1.0/26").attributes[1], Attribute::fields).released_at = Some(late);
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "attribute 1 released in the future");
    }

    #[test]
    fn an_allocation_must_index_an_attribute() {
        assert_eq!(
            broken(|b| b.allocations[1] = Some(7)),
            rules(&[("allocation-without-attribute", &[1]), ("attribute-unused", &[1])])
        );
        assert_eq!(
            broken(|b| b.allocations[1] = Some(-1)),
            rules(&[("negative-index", &[1]), ("allocation-without-attribute", &[1]), ("attribute-unused", &[1])])
        );
        assert_eq!(broken(|b| b.attributes = [].into()), rules(&[("allocation-without-attribute", &[0, 1, 2])]));
    }

    #[test]
    fn an_attribute_must_be_indexed() {
        let more = |b: &mut Block| {
            b.attributes = b.attributes.iter().cloned().chain([AttributeFields::default().into()]).collect();
        };
        assert_eq!(broken(more), rules(&[("attribute-unused", &[3])]));
    }

    #[test]
    fn the_queue_holds_each_free_ordinal_once() {
        // The healthy queue is 3..=63.
        assert_eq!(broken(|b| queue_of(b, |q| q[0] = 4)), rules(&[("queued-twice", &[4]), ("free-not-queued", &[3])]));
        assert_eq!(broken(|b| queue_of(b, |q| q.extend([12, 12]))), rules(&[("queued-twice", &[12]), ("sum", &[])]),);
        assert_eq!(
            broken(|b| queue_of(b, |q| q.retain(|o| *o != 30))),
            rules(&[("free-not-queued", &[30]), ("sum", &[])])
        );
        assert_eq!(
            broken(|b| queue_of(b, |q| (q[0], q[1]) = (64, -1))),
            rules(&[("queued-outside-block", &[-1, 64]), ("free-not-queued", &[3, 4])])
        );
        assert_eq!(
            broken(|b| queue_of(b, |q| q.insert(0, 1))),
            rules(&[("queued-though-allocated", &[1]), ("sum", &[])])
        );
    }

    #[test]
    fn the_list_is_as_long_as_the_block() {
        let cut = |length: usize| move |b: &mut Block| b.allocations = b.allocations[..length].into();
        assert_eq!(broken(cut(63)), rules(&[("allocations-length", &[])]));
        let longer = |b: &mut Block| b.allocations = b.allocations.iter().copied().chain([None]).collect();
        assert_eq!(broken(longer), rules(&[("allocations-length", &[])]));
        assert_eq!(
            broken(cut(0)),
            rules(&[("allocations-length", &[]), ("attribute-unused", &[0, 1, 2]), ("sum", &[])])
        );
    }

    #[test]
    fn the_value_names_the_keys_cidr() {
        assert_eq!(broken(|b| b.value_cidr = cidr("10.65.9.0/26")), rules(&[("cidr-not-of-key", &[])]));
        assert_eq!(broken(|b| b.value_cidr = cidr("10.65.0.0/27")), rules(&[("cidr-not-of-key", &[])]));
        let written = |text: &'static str| move |b: &mut Block| b.odd_value_cidr = Some(text.into());
        assert_eq!(broken(written("10.65.0.5/26")), rules(&[("cidr-not-of-key", &[])]), "ordinals count from .5");
        assert_eq!(broken(written("::FFFF:10.65.0.0/122")), rules(&[]), "another spelling of the same");
    }

    #[test]
    fn the_summary_counts_the_other_rules() {
        let mut c = Cluster::healthy();
        let block = c.block_mut("10.65.0.0/26");
        block.allocations[1] = Some(9);
        queue_of(block, |q| q[0] = 99);
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "ordinal 99 in the free queue, but not in the block; 3 more broken rules");
    }

    /// Key and value say a network of 2^64 addresses: nothing here may walk or hold that many.
    #[test]
    fn a_block_of_absurd_size_is_judged_by_its_lists() {
        let mut c = Cluster::healthy();
        c.block("10.65.1.0/26", None);
        let block = c.block_mut("10.65.1.0/26");
        (block.cidr, block.value_cidr) = (cidr("fd00::/64"), cidr("fd00::/64"));
        block.unallocated = [i32::MAX, i32::MIN].into();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "fd00::/64"));
    }

    /// The rules of the domain facts once more, in the plainest way, one ordinal after the other.
    fn is_valid(block: &Block, now: Time) -> bool {
        let indexed = |slot: Option<i32>| slot.is_none_or(|i| i >= 0 && (i as usize) < block.attributes.len());
        let times = |ordinal: i32| block.unallocated.iter().filter(|o| **o == ordinal).count();
        let free = |slot: Option<i32>| usize::from(slot.is_none());
        block.allocations.len() == block.size() as usize
            && block.value_cidr == block.cidr
            && block.allocations.iter().all(|slot| indexed(*slot))
            && (0..block.attributes.len() as i32).all(|i| block.allocations.contains(&Some(i)))
            && block.allocations.iter().zip(0..).all(|(slot, ordinal)| times(ordinal) == free(*slot))
            && block.unallocated.iter().all(|ordinal| (0..block.size() as i32).contains(ordinal))
            && block.attributes.iter().all(|at| at.released_at().is_none_or(|released| released <= now.plus(SKEW)))
    }

    proptest::proptest! {
        /// Small numbers, so that valid blocks come up as well as broken ones.
        #[test]
        fn exactly_the_valid_blocks_have_no_broken_rule(
            allocations in proptest::collection::vec(proptest::option::of(-1i32..3), 3..5),
            unallocated in proptest::collection::vec(-1i32..5, 0..5),
            repaired in proptest::bool::ANY,
            released in proptest::collection::vec(proptest::option::of(58i64..63), 0..3),
        ) {
            let mut c = Cluster::healthy();
            c.block("10.65.1.0/30", None);
            let now = c.snapshot.now;
            let block = c.block_mut("10.65.1.0/30");
            let at = |seconds: i64| now.plus(Duration::from_secs(seconds as u64));
            block.attributes =
                released.iter().map(|r| AttributeFields { released_at: r.map(at), ..AttributeFields::default() }.into()).collect();
            let free = allocations.iter().zip(0i32..).filter(|(slot, _)| slot.is_none()).map(|(_, o)| o);
            block.unallocated = if repaired { free.collect() } else { unallocated.into() };
            block.allocations = allocations.into();
            proptest::prop_assert_eq!(broken_rules(block, now).is_empty(), is_valid(block, now));
        }
    }
}
