//! What is asked of a node's evidence again and again, put in order when it is asked for first: a node has as many addresses
//! as interfaces, and a search through one list for each of another takes too long for what may be in a capture.

use std::cell::OnceCell;

use crate::model::hash::{HashMap, HashSet};
use crate::model::node_evidence::{HostLink, NodeEvidence, PodInside};
use crate::model::{Addr, Foreign};

/// By name every link that any reading saw; itself where all of them did.
type LinksByName<'w> = HashMap<&'w Foreign, Option<&'w HostLink>>;

/// Whatever was asked for.
#[derive(Default)]
pub struct AtHand<'w> {
    links: OnceCell<LinksByName<'w>>,
    verdicts: OnceCell<HashMap<(&'w Foreign, Addr), i32>>,
    /// The interfaces on which the node itself has an IPv4 address.
    pub numbered: OnceCell<HashSet<&'w Foreign>>,
    /// Of each pod that was looked into its interface on the host.
    pub interfaces: OnceCell<Vec<Option<Foreign>>>,
    pub insides: OnceCell<HashMap<Foreign, &'w PodInside>>,
}

impl<'w> AtHand<'w> {
    pub fn links(&self, evidence: &'w NodeEvidence) -> &LinksByName<'w> {
        self.links.get_or_init(|| {
            let mut links = LinksByName::default();
            for link in evidence.links.each() {
                let known = links.entry(&link.name).or_default();
                *known = known.or_else(|| evidence.lasts(link.seen).then_some(link));
            }
            links
        })
    }

    /// By interface and address what the kernel says of the gateway, where all readings agree.
    pub fn verdicts(&self, evidence: &'w NodeEvidence) -> &HashMap<(&'w Foreign, Addr), i32> {
        self.verdicts.get_or_init(|| {
            let mut verdicts = HashMap::default();
            for verdict in evidence.verdicts.each().filter(|verdict| evidence.lasts(verdict.seen)) {
                verdicts.entry((&verdict.dev, verdict.from)).or_insert(verdict.errno);
            }
            verdicts
        })
    }
}
