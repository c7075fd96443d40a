//! What is known of the addresses that are judged, as the values that the rules and the transactions take.

use std::collections::{BTreeMap, BTreeSet};

use super::case::Case;
use super::{last_look, nodes};
use crate::checks::addresses::address_awaited::{self, Awaited};
use crate::checks::addresses::leaked_address::{self, Proof};
use crate::checks::addresses::surplus_service_address;
use crate::checks::evidence::node::pod_behind;
use crate::checks::node::is_unseen;
use crate::decode::keys::{endpoint_of_pod_key, key_of};
use crate::ledger::{Allocation, Claim, Claimant, Grade, Ledger, Says, Use};
use crate::model::keys::{handle_key, key_text};
use crate::model::node_evidence::{EvidenceDoubt, UsedBy};
use crate::model::{Cidr, Endpoint, Foreign, HandleId, Name};
use crate::plan::circumstances::{
    Address, AgainNode, AgainPod, Claimer, HolderNow, KernelUse, LastLook, LeakProof, LeftEndpoint, PodChange,
    PodDoubt, PodNow, Proven, Special,
};
use crate::plan::release::{Extent, ReleasePlace, ReleaseTarget, Witness};

impl<'w> Case<'w> {
    fn own(&self, name: Name) -> String {
        self.text(name).to_owned()
    }

    /// Everything that is known of one allocated address.
    pub(super) fn facts(&self, allocation: &Allocation) -> Address {
        let ledger = self.world.ledger;
        let proof = leaked_address::proof(&self.world, allocation);
        let awaited = self.awaited(allocation);
        let predecessors = awaited.as_ref().map_or(&[][..], |a| a.predecessors.as_slice());
        let attribute = ledger.attribute_of(allocation);
        let owner = attribute.map(|a| a.owner()).unwrap_or_default();
        let special = self.special(allocation);
        let watched = self.watched_as(allocation);
        let waiting = awaited.as_ref().map(|a| (a.pod.namespace, a.pod.name));
        Address {
            address: allocation.address,
            special,
            holders: self.holders(allocation, predecessors),
            unseen: self.unseen(allocation),
            endpoints: self.endpoints(allocation).into_iter().map(|e| self.left(e, predecessors)).collect(),
            node: self.own(owner.node),
            node_now: nodes::now(&self.world, self.exclusive, owner.node),
            pod_now: self.pod_now(waiting.or(owner.pod_name()), proof.is_some() || awaited.is_some()),
            is_watched: watched.is_some(),
            observed: match self.word.skip_age {
                true => None,
                false => {
                    let code = watched.unwrap_or(leaked_address::CHECK.code);
                    self.observed.address(code, &ledger.tuple_of(allocation), self.text(owner.node))
                }
            },
            proof: proof.map(|p| self.proven(&p, owner.pod_name().unwrap_or_default())),
        }
    }

    fn proven(&self, proof: &Proof<'_>, (namespace, name): (Name, Name)) -> Proven {
        let how = match proof {
            Proof::NoSuchPod => LeakProof::NoSuchPod,
            Proof::Finished(pod) => LeakProof::Finished(pod.phase),
            Proof::OtherContainer(_) => LeakProof::OtherContainer,
            Proof::OlderThanPod(_) => LeakProof::OlderThanPod,
        };
        Proven { pod: self.world.snapshot.pair(namespace, name), how }
    }

    /// Rule 7.
    pub(super) fn special(&self, allocation: &Allocation) -> Option<Special> {
        let ledger = self.world.ledger;
        if !ledger.has_one_block(allocation.address) {
            let covering = ledger.spellings_covering(allocation.address).into_iter();
            let covering: Vec<Foreign> =
                covering.map(|b| key_text(&key_of(&self.world.snapshot.names, b)).into()).collect();
            if covering.len() > 1 {
                return Some(Special::TwoBlocks(covering));
            }
        }
        match allocation.used_for {
            Use::Cooling => Some(Special::Cooling),
            Use::Windows => Some(Special::Windows),
            Use::Reserved => Some(Special::Reserved),
            Use::Tunnel => Some(Special::Tunnel),
            Use::LoadBalancer => Some(Special::LoadBalancer),
            Use::Vm => Some(Special::Machine),
            Use::Unknown => Some(Special::UnknownType),
            Use::Pod if !ledger.is_judged(allocation) => {
                Some(Special::ForeignNode(ledger.snapshot.named(ledger.owner_node(allocation))))
            }
            Use::Pod | Use::Unattributed | Use::Broken => {
                let named = |name| ledger.snapshot.named(name);
                let awaited = |a: Awaited<'_>| Special::Awaited(named(a.pod.namespace), named(a.pod.name));
                let nobodys = (allocation.used_for != Use::Pod).then_some(Special::Unattributed);
                self.awaited(allocation).map(awaited).or(nobodys)
            }
        }
    }

    /// The pod that waits for this address in vain (IPA133), and what its predecessor left.
    fn awaited(&self, allocation: &Allocation) -> Option<Awaited<'w>> {
        address_awaited::awaited(&self.world, allocation)
    }

    /// Everybody who claims the address, and every node whose kernel shows it in use: that forbids a release, whatever
    /// etcd says, and what no node shows never allows one.
    fn holders(&self, allocation: &Allocation, predecessors: &[&Endpoint]) -> Vec<HolderNow> {
        let address = allocation.address;
        let claims = self.world.ledger.claims_at(address).iter().map(|c| self.holder(c, predecessors));
        let seen = self.world.snapshot.nodes_seen.uses(address).map(|(node, used)| {
            let how = match &used.by {
                UsedBy::Route => KernelUse::Routed,
                UsedBy::Host => KernelUse::OfHost,
                UsedBy::Namespace(pod) => {
                    let behind = || pod_behind(self.world.snapshot, node, &used.interface);
                    KernelUse::Inside(pod.some().cloned().or_else(behind).unwrap_or_default())
                }
            };
            HolderNow { who: Claimer::Kernel(node.clone(), used.interface.clone(), how), grade: Grade::Certain }
        });
        claims.chain(seen).chain(self.entitled(allocation)).collect()
    }

    /// The node of the allocation, where its evidence was asked for and does not count, or not in all; of one that names no
    /// node any such.
    fn unseen(&self, allocation: &Allocation) -> Option<(Foreign, Foreign)> {
        let (snapshot, node) = (self.world.snapshot, self.world.ledger.owner_node(allocation));
        let seen = &snapshot.nodes_seen;
        let doubt = |at: usize| {
            let words = EvidenceDoubt::sentence(seen.doubts(at));
            seen.nodes.get(at).filter(|_| !words.is_empty()).map(|evidence| (evidence.node.clone(), words))
        };
        if node.is_none() {
            return (0..seen.nodes.len()).find_map(doubt);
        }
        match seen.place_of(snapshot.text(node)) {
            Some(at) => doubt(at),
            None => is_unseen(&self.world, node).then(|| (snapshot.named(node), "there is no evidence of it".into())),
        }
    }

    /// Who has a right to the address without showing it yet: a service whose status is still empty, a machine's pod that
    /// is starting.
    fn entitled(&self, allocation: &Allocation) -> Vec<HolderNow> {
        let named = |name: Name| self.world.snapshot.named(name);
        let may = |who: Claimer| HolderNow { who, grade: Grade::Possible };
        match allocation.used_for {
            Use::LoadBalancer => surplus_service_address::rightful(&self.world, allocation)
                .map(|service| may(Claimer::Service(named(service.namespace), named(service.name))))
                .into_iter()
                .collect(),
            Use::Vm => {
                let pods =
                    self.world.snapshot.pods.iter().filter(|pod| !pod.vmi().is_none() && !pod.phase.is_finished());
                let its = pods.filter(|pod| self.world.ledger.says(allocation, pod) == Says::This);
                its.map(|pod| may(Claimer::Pod(named(pod.namespace), named(pod.name)))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the predecessor of a waiting pod left behind holds nothing.
    fn holder(&self, claim: &Claim, predecessors: &[&Endpoint]) -> HolderNow {
        let endpoint = match claim.by {
            Claimant::Endpoint(i) => self.world.snapshot.endpoints.get(i as usize),
            _ => None,
        };
        let is_left = endpoint.is_some_and(|e| is_one_of(e, predecessors));
        let grade = if is_left { Grade::Stale } else { claim.grade };
        HolderNow { who: claimer(self.world.ledger, claim), grade }
    }

    /// Endpoints that list the address or have the container.
    pub(super) fn endpoints(&self, allocation: &Allocation) -> Vec<&'w Endpoint> {
        let ledger = self.world.ledger;
        let mut found: Vec<&'w Endpoint> = ledger.endpoints_at(allocation.address).map(|(e, _)| e).collect();
        // The id as a whole where it has no network.
        if let Some(handle) = ledger.handle_of(allocation) {
            found.extend(ledger.endpoints_of_container(handle.tail));
        }
        found.sort_by_cached_key(|e| self.world.snapshot.endpoint_id(e));
        found.dedup_by_key(|e| (e.namespace, e.name()));
        found
    }

    fn left(&self, endpoint: &Endpoint, predecessors: &[&Endpoint]) -> LeftEndpoint {
        LeftEndpoint {
            key: key_of(&self.world.snapshot.names, endpoint),
            name: self.world.snapshot.endpoint_id(endpoint),
            is_stale: self.world.ledger.endpoint_state(endpoint).is_stale() || is_one_of(endpoint, predecessors),
            mod_revision: endpoint.meta().mod_revision,
            node: self.own(endpoint.node),
            node_now: nodes::now(&self.world, self.exclusive, endpoint.node),
        }
    }

    fn pod_now(&self, owner: Option<(Name, Name)>, proven: bool) -> PodNow {
        let Some(owner) = owner else { return PodNow::Unknown(PodDoubt::NamesNone) };
        let now = self.world.ledger.pod(owner.0, owner.1);
        // What was not read again is what the first look saw.
        let before = self.before.pod(owner.0, owner.1).unwrap_or(now);
        match (before, now) {
            (_, None) => PodNow::Absent,
            (Some(before), Some(now)) if before.uid == now.uid && proven => PodNow::SameAndNoHolder,
            (Some(before), Some(now)) if before.uid == now.uid => PodNow::Changed(PodChange::MayHold),
            (_, Some(_)) => PodNow::Changed(PodChange::Anew),
        }
    }

    pub(super) fn target(
        &self,
        id: Option<HandleId>,
        allocations: &[&Allocation],
        addresses: &[Address],
        extent: Extent,
    ) -> ReleaseTarget {
        let ledger = self.world.ledger;
        let names = &self.world.snapshot.names;
        let handle = id.map(|id| id.text(names));
        let objects = id.and_then(|id| self.tally(id)).map_or(&[][..], |t| t.objects);
        let mut handle_keys: Vec<Vec<u8>> = objects.iter().map(|o| key_of(names, o)).collect();
        if handle_keys.is_empty() {
            handle_keys.extend(handle.iter().map(|h| handle_key(h).into_bytes()));
        }
        let places: Vec<ReleasePlace> = allocations
            .iter()
            .map(|a| ReleasePlace {
                address: a.address,
                block: ledger.block_of(a).cidr,
                ordinal: a.ordinal,
                tuple: ledger.tuple_of(a),
            })
            .collect();
        let endpoints: BTreeMap<Vec<u8>, LeftEndpoint> =
            addresses.iter().flat_map(|a| a.endpoints.clone()).map(|e| (e.key.clone(), e)).collect();
        let others: BTreeSet<Cidr> = match (extent, id) {
            (Extent::One, Some(id)) => ledger.allocations_of(id).map(|a| ledger.block_of(a).cidr).collect(),
            _ => BTreeSet::new(),
        };
        let witnesses = allocations.iter().flat_map(|a| self.witnesses(a, &endpoints)).collect::<BTreeSet<_>>();
        let claimed: BTreeSet<Cidr> =
            places.iter().map(|p| p.block).filter(|b| ledger.affinities_for(*b).next().is_some()).collect();
        ReleaseTarget {
            handle,
            handle_keys,
            places,
            endpoints: endpoints.into_values().collect(),
            extent,
            claimed: claimed.into_iter().collect(),
            others: others.into_iter().collect(),
            witnesses: witnesses.into_iter().collect(),
        }
    }

    /// The endpoints of the owner pod that stay, and the one that it has not: if one of them is written, the proof falls.
    fn witnesses(&self, allocation: &Allocation, deleted: &BTreeMap<Vec<u8>, LeftEndpoint>) -> Vec<Witness> {
        let (ledger, snapshot) = (self.world.ledger, self.world.snapshot);
        let owner = ledger.attribute_of(allocation).map(|a| a.owner()).unwrap_or_default();
        let Some((namespace, pod)) = owner.pod_name().filter(|_| !owner.node.is_none()) else { return Vec::new() };
        let mut found: BTreeMap<Vec<u8>, Witness> = BTreeMap::new();
        let own = endpoint_of_pod_key(self.text(namespace), self.text(owner.node), self.text(pod)).into_bytes();
        let name = format!("the endpoint of pod {}", snapshot.pair(namespace, pod));
        found.insert(own.clone(), Witness { key: own, mod_revision: None, name });
        for endpoint in ledger.endpoints_of_pod(namespace, pod) {
            let key = key_of(&snapshot.names, endpoint);
            let name = format!("endpoint {}", snapshot.endpoint_id(endpoint));
            let mod_revision = Some(endpoint.meta().mod_revision);
            found.insert(key.clone(), Witness { key, mod_revision, name });
        }
        found.into_values().filter(|w| !deleted.contains_key(&w.key)).collect()
    }

    /// What the API server is asked once more right before the write.
    pub(super) fn again(&self, allocations: &[&Allocation], addresses: &[Address]) -> Vec<LastLook> {
        let mut all = Vec::new();
        for (allocation, address) in allocations.iter().zip(addresses) {
            let ledger = self.world.ledger;
            let owner = ledger.attribute_of(allocation).map(|a| a.owner()).unwrap_or_default();
            let node = nodes::again(&self.world, owner.node, &address.node_now);
            all.extend(owner.pod_name().map(|pod| self.again_of(pod, node)));
            // It must wait still, wherever it is.
            all.extend(self.awaited(allocation).map(|a| self.again_of((a.pod.namespace, a.pod.name), None)));
            for endpoint in self.endpoints(allocation) {
                let how = nodes::now(&self.world, self.exclusive, endpoint.node);
                let node = nodes::again(&self.world, endpoint.node, &how);
                all.push(self.again_of((endpoint.namespace, endpoint.pod), node));
            }
        }
        all.sort();
        all.dedup();
        all
    }

    fn again_of(&self, (namespace, name): (Name, Name), node: Option<(String, AgainNode)>) -> LastLook {
        let pod = match self.world.ledger.pod(namespace, name) {
            None => AgainPod::Absent,
            Some(pod) => AgainPod::As(last_look::fingerprint(&self.world.snapshot.names, pod)),
        };
        LastLook { namespace: self.own(namespace), name: self.own(name), pod, node }
    }
}

fn is_one_of(endpoint: &Endpoint, list: &[&Endpoint]) -> bool {
    list.iter().any(|e| (e.namespace, e.name()) == (endpoint.namespace, endpoint.name()))
}

/// Who makes a claim.
pub fn claimer(ledger: &Ledger<'_>, claim: &Claim) -> Claimer {
    let snapshot = ledger.snapshot;
    let own = |name: Name| snapshot.named(name);
    let found = match claim.by {
        Claimant::Pod(i) => snapshot.pods.get(i as usize).map(|p| Claimer::Pod(own(p.namespace), own(p.name))),
        Claimant::Endpoint(i) => snapshot
            .endpoints
            .get(i as usize)
            .map(|e| Claimer::Endpoint(own(e.namespace), e.name().text(&snapshot.names).into())),
        Claimant::Tunnel(i, tunnel) => {
            snapshot.calico_nodes.get(i as usize).map(|n| Claimer::Tunnel(tunnel, own(n.name)))
        }
        Claimant::Service(i) => {
            snapshot.services.get(i as usize).map(|s| Claimer::Service(own(s.namespace), own(s.name)))
        }
        Claimant::HostEndpoint => None,
    };
    found.unwrap_or(Claimer::HostEndpoint)
}

#[cfg(test)]
mod tests;
