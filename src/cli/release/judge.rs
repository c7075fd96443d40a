//! Turns what was looked at twice into what the rules judge by, and what passes into steps of a plan.
//!
//! All reading is done before. The proofs are the checks' own (IPA110, IPA201); nothing here decides anew what a leak is.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Recorder;
use crate::checks::World;
use crate::checks::addresses::address_awaited::{self, Awaited};
use crate::checks::addresses::leaked_address::{self, Proof};
use crate::checks::handles::orphaned_handle;
use crate::cli::release::nodes;
use crate::decode::keys::{endpoint_of_pod_key, record_key};
use crate::ledger::{Allocation, Claim, Claimant, Grade, Ledger, Tally, Use};
use crate::model::keys::handle_key;
use crate::model::{Addr, Block, Cidr, Endpoint, Handle, HandleId, Name, Patch, keys::key_text};
use crate::plan::circumstances::{Address, Again, AgainNode, AgainPod, Holder, Left, PodNow, Refusal, Special, Word};
use crate::plan::confirm::Work;
use crate::plan::orphans::Orphan;
use crate::plan::recurring::{self, Recurring};
use crate::plan::release::{Extent, Place, Target, Witness};
use crate::plan::rules;

/// A step without the bytes.
#[derive(Debug)]
pub struct Candidate {
    pub work: Work,
    pub reason: String,
    pub holders: Vec<Holder>,
    pub again: Vec<Again>,
}

/// What one handle or address came to.
#[derive(Debug)]
pub enum Verdict {
    Go(Box<Candidate>),
    Refused(Vec<Refusal>),
    /// There is nothing of it (any more).
    Nothing(String),
}

/// Everything that is judged by.
pub struct Judge<'w> {
    /// Of the second look.
    pub world: World<'w>,
    /// What the first look saw of what was read again: whose UIDs must be the same.
    pub before: &'w Patch,
    /// Kubernetes can be asked about single objects.
    pub live: bool,
    pub observed: &'w Recorder,
    pub word: &'w Word,
    /// The operator said, now or at an audit, that no other cluster uses the datastore.
    pub exclusive: bool,
}

impl<'w> Judge<'w> {
    fn text(&self, name: Name) -> &'w str {
        self.world.ledger.text(name)
    }

    /// Judges everything of one handle id. The operator's word lets an orphan of this id go, and no address.
    pub fn handle(&self, id: HandleId) -> Verdict {
        let text = id.text(&self.world.snapshot.names);
        let allocations: Vec<&Allocation> = self.world.ledger.allocations_of(id).collect();
        match allocations.is_empty() {
            true => self.orphan(id, &text),
            false => self.leak(Some(id), &text, &allocations, Extent::Whole),
        }
    }

    /// Judges one address: with the rest of its handle, or alone by the operator's word.
    pub fn address(&self, address: Addr) -> Verdict {
        let found = self.world.ledger.allocations_at(address);
        let Some(allocation) = found.first() else {
            return Verdict::Nothing(format!("{address} is not allocated"));
        };
        let handle = self.world.ledger.handle_of(allocation);
        // The operator's word is for what is special; anything else goes as a whole or not at all (rule 6).
        let alone = self.word.knows && self.special(allocation).is_some();
        match handle.filter(|_| !alone) {
            Some(id) => self.handle(id),
            None => self.leak(handle, &address.to_string(), &[allocation], Extent::One),
        }
    }

    /// The orphaned objects of a handle id.
    fn orphan(&self, id: HandleId, text: &str) -> Verdict {
        let Some(tally) = self.tally(id) else {
            return Verdict::Nothing(format!("{text}: no such handle, and no block has an address of it"));
        };
        if !orphaned_handle::is_orphaned(&self.world, &tally) {
            let why = "an endpoint has its container, or a value does not decode";
            let words = format!("it is not proven orphaned ({}): {why}", orphaned_handle::CHECK.code);
            return Verdict::Refused(vec![Refusal::new(3, text, words)]);
        }
        if let Some(words) = self.shadow(id) {
            return Verdict::Refused(vec![Refusal::new(3, text, words)]);
        }
        let grace = self.world.snapshot.kube_controllers.grace();
        let whose = Recurring::of(&self.world.snapshot.names, id);
        let mut refused: Vec<Refusal> =
            recurring::automatically(text, whose, self.word.knows).err().into_iter().collect();
        for object in tally.objects {
            let asked = whose.is_some() || !self.word.skip_age;
            let very = || orphaned_handle::stamp(&self.world, &tally, object);
            let seen = if asked { self.observed.handle(&self.orphan_of(object).id, very()) } else { None };
            refused.extend(recurring::observed(text, whose, seen, grace, self.word).err());
        }
        if !refused.is_empty() {
            return Verdict::Refused(refused);
        }
        let orphans = tally.objects.iter().map(|object| self.orphan_of(object)).collect();
        let code = orphaned_handle::CHECK.code;
        let proof = format!("no block has an address of it, and no endpoint has its container ({code})");
        let reason = match whose {
            None => proof,
            Some(whose) => format!("by the operator's word (--i-know-what-this-is): {}; {proof}", whose.words()),
        };
        Verdict::Go(Box::new(Candidate {
            work: Work::Orphans(orphans),
            reason,
            holders: Vec::new(),
            again: Vec::new(),
        }))
    }

    /// A block under a second, non-canonical key that names the handle: every scan sees it and nobody can write it.
    fn shadow(&self, id: HandleId) -> Option<String> {
        let snapshot = self.world.snapshot;
        let names = |b: &&Block| b.attributes.iter().any(|a| a.handle == Some(id) && a.released_at.is_none());
        let judged = |b: &Block| self.world.ledger.block(b.cidr).is_some_and(|j| std::ptr::eq(j, b));
        let odd = snapshot.blocks.iter().filter(|b| b.odd_key.is_some());
        let key = odd.filter(names).find(|b| !judged(b)).map(|b| key_text(&record_key(&snapshot.names, b)))?;
        Some(format!("block {key} names it too, and another block of the same range is in use"))
    }

    fn tally(&self, id: HandleId) -> Option<Tally<'w>> {
        let all = &self.world.snapshot.handles;
        let start = all.partition_point(|h| h.id < id);
        let end = start + all.get(start..)?.partition_point(|h| h.id == id);
        let objects: &'w [Handle] = all.get(start..end).filter(|o| !o.is_empty())?;
        let counted = objects.iter().flat_map(|o| o.counts.iter().copied()).collect::<Vec<_>>().into();
        Some(Tally { id, objects, counted, held: self.world.ledger.held(id) })
    }

    fn orphan_of(&self, object: &Handle) -> Orphan {
        let names = &self.world.snapshot.names;
        let id = match &object.odd_id {
            Some(bytes) => key_text(bytes),
            None => object.id.text(names),
        };
        let mut blocks: Vec<Cidr> = object.counts.iter().map(|(cidr, _)| *cidr).collect();
        blocks.dedup();
        Orphan { id, key: record_key(names, object), mod_revision: object.meta.mod_revision, blocks }
    }

    fn leak(&self, id: Option<HandleId>, subject: &str, allocations: &[&Allocation], extent: Extent) -> Verdict {
        let addresses: Vec<Address> = allocations.iter().map(|a| self.facts(a)).collect();
        let snapshot = self.world.snapshot;
        // One at a time: the word is for the address that was named, not for the others of its handle.
        let word = Word { knows: self.word.knows && extent == Extent::One, ..self.word.clone() };
        let mut refused = rules::refusals(&addresses, &word, snapshot.now, snapshot.kube_controllers.grace());
        let failing: BTreeSet<&str> = refused.iter().map(|r| r.subject.as_str()).collect();
        let passing = addresses.iter().filter(|a| !failing.contains(a.address.to_string().as_str())).count();
        refused.extend(id.and_then(|id| self.shadow(id)).map(|words| Refusal::new(3, subject, words)));
        if passing > 0 {
            refused.extend(rules::all_or_none(subject, passing, addresses.len()).err());
        }
        if !refused.is_empty() {
            // Who asked for a handle finds it in every reason.
            for refusal in refused.iter_mut().filter(|r| r.subject != subject) {
                refusal.words = format!("{} (handle {subject})", refusal.words);
            }
            return Verdict::Refused(refused);
        }
        let mut holders: Vec<Holder> = addresses.iter().flat_map(|a| a.holders.clone()).collect();
        holders.dedup();
        let reasons: BTreeSet<String> = addresses
            .iter()
            .map(|a| match (&a.proof, &a.special) {
                (Some(proof), _) => format!("{proof} ({})", leaked_address::CHECK.code),
                (None, special) => {
                    let what = special.as_ref().map(Special::words).unwrap_or_default();
                    format!("by the operator's word (--i-know-what-this-is): {what}")
                }
            })
            .collect();
        let reason = reasons.into_iter().collect::<Vec<_>>().join("; ");
        let target = self.target(id, allocations, &addresses, extent);
        let again = self.again(allocations, &addresses);
        Verdict::Go(Box::new(Candidate { work: Work::Release(target), reason, holders, again }))
    }

    fn target(
        &self,
        id: Option<HandleId>,
        allocations: &[&Allocation],
        addresses: &[Address],
        extent: Extent,
    ) -> Target {
        let ledger = self.world.ledger;
        let names = &self.world.snapshot.names;
        let handle = id.map(|id| id.text(names));
        let objects = id.and_then(|id| self.tally(id)).map_or(&[][..], |t| t.objects);
        let mut handle_keys: Vec<Vec<u8>> = objects.iter().map(|o| record_key(names, o)).collect();
        if handle_keys.is_empty() {
            handle_keys.extend(handle.iter().map(|h| handle_key(h).into_bytes()));
        }
        let places: Vec<Place> = allocations
            .iter()
            .map(|a| Place {
                address: a.address,
                block: ledger.block_of(a).cidr,
                ordinal: a.ordinal,
                tuple: ledger.tuple_of(a),
            })
            .collect();
        let endpoints: BTreeMap<Vec<u8>, Left> =
            addresses.iter().flat_map(|a| a.endpoints.clone()).map(|e| (e.key.clone(), e)).collect();
        let others: BTreeSet<Cidr> = match (extent, id) {
            (Extent::One, Some(id)) => ledger.allocations_of(id).map(|a| ledger.block_of(a).cidr).collect(),
            _ => BTreeSet::new(),
        };
        let witnesses = allocations.iter().flat_map(|a| self.witnesses(a, &endpoints)).collect::<BTreeSet<_>>();
        let claimed: BTreeSet<Cidr> =
            places.iter().map(|p| p.block).filter(|b| ledger.affinities_for(*b).next().is_some()).collect();
        Target {
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
    fn witnesses(&self, allocation: &Allocation, deleted: &BTreeMap<Vec<u8>, Left>) -> Vec<Witness> {
        let (ledger, snapshot) = (self.world.ledger, self.world.snapshot);
        let owner = ledger.attribute_of(allocation).map(|a| a.owner).unwrap_or_default();
        let Some((namespace, pod)) = owner.pod_name().filter(|_| !owner.node.is_none()) else { return Vec::new() };
        let mut found: BTreeMap<Vec<u8>, Witness> = BTreeMap::new();
        let own = endpoint_of_pod_key(self.text(namespace), self.text(owner.node), self.text(pod)).into_bytes();
        let name = format!("the endpoint of pod {}", snapshot.pair(namespace, pod));
        found.insert(own.clone(), Witness { key: own, mod_revision: None, name });
        for endpoint in ledger.endpoints_of_pod(namespace, pod) {
            let key = record_key(&snapshot.names, endpoint);
            let name = format!("endpoint {}", snapshot.pair(endpoint.namespace, endpoint.name));
            let mod_revision = Some(endpoint.meta.mod_revision);
            found.insert(key.clone(), Witness { key, mod_revision, name });
        }
        found.into_values().filter(|w| !deleted.contains_key(&w.key)).collect()
    }

    /// Everything that is known of one allocated address.
    fn facts(&self, allocation: &Allocation) -> Address {
        let ledger = self.world.ledger;
        let proof = leaked_address::proof(&self.world, allocation);
        let awaited = self.awaited(allocation);
        let predecessors = awaited.as_ref().map_or(&[][..], |a| a.predecessors.as_slice());
        let attribute = ledger.attribute_of(allocation);
        let owner = attribute.map(|a| a.owner).unwrap_or_default();
        let special = self.special(allocation);
        // What was watched: that it is leaked, or that the next pod waits for it.
        let code = if awaited.is_some() { address_awaited::CHECK.code } else { leaked_address::CHECK.code };
        let waiting = awaited.as_ref().map(|a| (a.pod.namespace, a.pod.name));
        Address {
            address: allocation.address,
            special,
            holders: ledger.claims_at(allocation.address).iter().map(|c| self.holder(c, predecessors)).collect(),
            endpoints: self.endpoints(allocation).into_iter().map(|e| self.left(e, predecessors)).collect(),
            node: self.text(owner.node).to_owned(),
            node_now: nodes::now(&self.world, self.exclusive, owner.node),
            pod_now: self.pod_now(waiting.or(owner.pod_name()), proof.is_some() || awaited.is_some()),
            observed: match self.word.skip_age {
                true => None,
                false => self.observed.address(code, &ledger.tuple_of(allocation), self.text(owner.node)),
            },
            proof: proof.map(|p| self.words(&p, owner.pod_name().unwrap_or_default())),
        }
    }

    fn words(&self, proof: &Proof<'_>, (namespace, name): (Name, Name)) -> String {
        let id = self.world.snapshot.pair(namespace, name);
        match proof {
            Proof::NoSuchPod => format!("pod {id} does not exist"),
            Proof::Finished(pod) => format!("pod {id} is finished ({})", pod.phase.word()),
            Proof::OtherContainer(_) => format!("pod {id} has another container now"),
            Proof::OlderThanPod(_) => format!("allocated before pod {id} was created"),
        }
    }

    /// Rule 7.
    fn special(&self, allocation: &Allocation) -> Option<Special> {
        let ledger = self.world.ledger;
        let covering = self.world.snapshot.blocks.iter().filter(|b| b.cidr.contains(allocation.address));
        let covering: Vec<String> = covering.map(|b| key_text(&record_key(&self.world.snapshot.names, b))).collect();
        if covering.len() > 1 {
            return Some(Special::TwoBlocks(covering));
        }
        match allocation.used_for {
            Use::Cooling => Some(Special::Cooling),
            Use::Windows => Some(Special::Windows),
            Use::Reserved => Some(Special::Reserved),
            Use::Tunnel(_) => Some(Special::Tunnel),
            Use::LoadBalancer => Some(Special::LoadBalancer),
            Use::Vm => Some(Special::Machine),
            Use::Unknown => Some(Special::UnknownType),
            Use::Pod if !ledger.is_judged(allocation) => {
                Some(Special::ForeignNode(self.text(ledger.owner_node(allocation)).to_owned()))
            }
            Use::Pod | Use::Unattributed | Use::Broken => {
                let waiting = self.awaited(allocation);
                let waiting = waiting.map(|a| self.world.snapshot.pair(a.pod.namespace, a.pod.name));
                let nobodys = (allocation.used_for != Use::Pod).then_some(Special::Unattributed);
                waiting.map(Special::Awaited).or(nobodys)
            }
        }
    }

    /// The pod that waits for this address in vain (IPA133), and what its predecessor left.
    fn awaited(&self, allocation: &Allocation) -> Option<Awaited<'w>> {
        address_awaited::awaited(&self.world, allocation)
    }

    /// What the predecessor of a waiting pod left behind holds nothing.
    fn holder(&self, claim: &Claim, predecessors: &[&Endpoint]) -> Holder {
        let endpoint = match claim.by {
            Claimant::Endpoint(i) => self.world.snapshot.endpoints.get(i as usize),
            _ => None,
        };
        let is_left = endpoint.is_some_and(|e| is_one_of(e, predecessors));
        let grade = if is_left { Grade::Stale } else { claim.grade };
        Holder { who: who(self.world.ledger, claim), grade: grade.word() }
    }

    /// Endpoints that list the address or have the container.
    fn endpoints(&self, allocation: &Allocation) -> Vec<&'w Endpoint> {
        let ledger = self.world.ledger;
        let mut found: Vec<&'w Endpoint> = ledger.endpoints_at(allocation.address).map(|(e, _)| e).collect();
        if let Some(handle) = ledger.handle_of(allocation).filter(|h| h.dotted) {
            found.extend(ledger.endpoints_of_container(handle.tail));
        }
        found.sort_by_key(|e| (e.namespace, e.name));
        found.dedup_by_key(|e| (e.namespace, e.name));
        found
    }

    fn left(&self, endpoint: &Endpoint, predecessors: &[&Endpoint]) -> Left {
        Left {
            key: record_key(&self.world.snapshot.names, endpoint),
            name: self.world.snapshot.pair(endpoint.namespace, endpoint.name),
            is_stale: self.world.ledger.endpoint_state(endpoint).is_stale() || is_one_of(endpoint, predecessors),
            mod_revision: endpoint.meta.mod_revision,
            node: self.text(endpoint.node).to_owned(),
            node_now: nodes::now(&self.world, self.exclusive, endpoint.node),
        }
    }

    fn pod_now(&self, owner: Option<(Name, Name)>, proven: bool) -> PodNow {
        let Some(owner) = owner else { return PodNow::Unknown("it names no pod".to_owned()) };
        if !self.live {
            return PodNow::Unknown("Kubernetes was read from files, and files cannot be asked".to_owned());
        }
        let now = self.world.ledger.pod(owner.0, owner.1);
        // What was not read again is what the first look saw.
        let before = self.before.pod(owner.0, owner.1).unwrap_or(now);
        match (before, now) {
            (_, None) => PodNow::Absent,
            (Some(before), Some(now)) if before.uid == now.uid && proven => PodNow::SameAndNoHolder,
            (Some(before), Some(now)) if before.uid == now.uid => PodNow::Changed("its pod may hold it now".to_owned()),
            (_, Some(_)) => PodNow::Changed("a pod of this name was created meanwhile".to_owned()),
        }
    }

    /// What the API server is asked once more right before the write.
    fn again(&self, allocations: &[&Allocation], addresses: &[Address]) -> Vec<Again> {
        let mut all = Vec::new();
        for (allocation, address) in allocations.iter().zip(addresses) {
            let ledger = self.world.ledger;
            let owner = ledger.attribute_of(allocation).map(|a| a.owner).unwrap_or_default();
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

    fn again_of(&self, (namespace, name): (Name, Name), node: Option<(String, AgainNode)>) -> Again {
        let pod = match self.world.ledger.pod(namespace, name) {
            None => AgainPod::Absent,
            Some(pod) => AgainPod::As(super::carry::fingerprint(&self.world.snapshot.names, pod)),
        };
        Again { namespace: self.text(namespace).to_owned(), name: self.text(name).to_owned(), pod, node }
    }
}

fn is_one_of(endpoint: &Endpoint, list: &[&Endpoint]) -> bool {
    list.iter().any(|e| (e.namespace, e.name) == (endpoint.namespace, endpoint.name))
}

/// Who makes a claim, for people.
pub fn who(ledger: &Ledger<'_>, claim: &Claim) -> String {
    let snapshot = ledger.snapshot;
    let who = match claim.by {
        Claimant::Pod(i) => {
            snapshot.pods.get(i as usize).map(|p| format!("pod {}", snapshot.pair(p.namespace, p.name)))
        }
        Claimant::Endpoint(i) => {
            snapshot.endpoints.get(i as usize).map(|e| format!("endpoint {}", snapshot.pair(e.namespace, e.name)))
        }
        Claimant::Tunnel(i, tunnel) => {
            let node = snapshot.calico_nodes.get(i as usize);
            node.map(|n| format!("{} tunnel of node {}", tunnel.word(), ledger.text(n.name)))
        }
        Claimant::Service(i) => {
            snapshot.services.get(i as usize).map(|s| format!("service {}", snapshot.pair(s.namespace, s.name)))
        }
        Claimant::HostEndpoint => Some("a host endpoint".to_owned()),
    };
    who.unwrap_or_default()
}
