//! The join: from a snapshot to its ledger.

use super::reclaim::Reclaim;
use super::{DarkRanges, Ledger, Pairing, Scope, ScopeFlag, allocations, blocks, crowd, reserved};
use crate::model::hash::{HashSet, PlaceTable};
use crate::model::{Addr, Name, Orchestrator, Past, Snapshot};

impl<'s> Ledger<'s> {
    /// Joins the snapshot. `past` decides who is departed and whether the pair is known; `flag` is `--scope`.
    pub fn build(snapshot: &'s Snapshot, flag: ScopeFlag, past: Option<&Past>) -> Ledger<'s> {
        let dark = DarkRanges::of(snapshot);
        let scope = Scope::of(snapshot, flag, past, &dark);
        let mut ledger = Ledger {
            snapshot,
            allocations: Vec::new(),
            claims: Vec::new(),
            pairing: Pairing::Unknown(String::new()),
            scope,
            dark,
            blocks: allocations::judged(&snapshot.blocks, |block| block.cidr),
            affinities: allocations::judged(&snapshot.affinities, |affinity| (affinity.cidr, affinity.host)),
            ipam_nodes: HashSet::new(),
            host_local: false,
            usual_network: Name::NONE,
            pods: PlaceTable::of_last(&snapshot.pods, |pod| (pod.namespace, pod.name)),
            endpoint_states: Vec::new(),
            endpoints_of_pod: endpoints_of_pod(snapshot),
            endpoints_of_container: endpoints_of_container(snapshot),
            allocations_of_handle: Vec::new(),
            // Of several spellings of one id the first stands for all: the canonical one, if there is one.
            handles: PlaceTable::of_first(&snapshot.handles, |handle| handle.id),
            networks: Vec::new(),
            wider: Vec::new(),
            crowds_at_home: Vec::new(),
            shadows: Vec::new(),
            asking: asking(snapshot),
            reserved: reserved::ranges(snapshot),
            reclaim: Reclaim::default(),
        };
        ledger.reclaim = Reclaim::of(snapshot, ledger.blocks(), ledger.affinities(), &ledger.dark);
        ledger.wider = blocks::wider(snapshot, &ledger.blocks);
        ledger.shadows = blocks::shadows(snapshot, &ledger.blocks);
        ledger.crowds_at_home = crowd::at_home(snapshot, &ledger.scope, &ledger.endpoints_of_pod);
        ledger.list_allocations();
        ledger.pairing = Pairing::of(&ledger, past);
        ledger.host_local = !ledger.host_local_pods().is_empty();
        ledger.list_claims();
        ledger
    }
}

fn endpoints_of_pod(snapshot: &Snapshot) -> Vec<(Name, Name, u32)> {
    let endpoints = snapshot.endpoints.iter().zip(0..).filter(|(e, _)| e.orchestrator() == Orchestrator::Kubernetes);
    let mut index: Vec<_> = endpoints.map(|(e, i)| (e.namespace, e.pod, i)).collect();
    index.sort_unstable();
    index
}

fn asking(snapshot: &Snapshot) -> Vec<(Addr, u32)> {
    let pods = snapshot.pods.iter().zip(0..);
    let mut index: Vec<_> = pods.flat_map(|(pod, i)| pod.asked_for().iter().map(move |&asked| (asked, i))).collect();
    index.sort_unstable();
    index
}

fn endpoints_of_container(snapshot: &Snapshot) -> Vec<(Name, u32)> {
    let endpoints = snapshot.endpoints.iter().zip(0..).filter(|(e, _)| !e.container.is_none());
    let mut index: Vec<_> = endpoints.map(|(e, i)| (e.container, i)).collect();
    index.sort_unstable();
    index
}
