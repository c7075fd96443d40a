//! What a second look saw, as a change that can be put into the first look's snapshot and taken out again.
//!
//! A big cluster fills gigabytes, and a second copy of it for the sake of one suspect would be a second cluster in
//! memory. So only what was read again is held twice: [`Patch::swap`] exchanges it with what the snapshot has, and
//! exchanges it back when it is done a second time.

use std::collections::HashSet;

use super::hash::PlaceTable;
use super::keys::{self, Keyed, put_key};
use super::{Foreign, Gathering, Input, Name, Pod, Snapshot};

/// A second look that failed: what it was to confirm stays unconfirmed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FailedLook {
    /// In one line, what could not be read and for what cause.
    pub why: Foreign,
    /// What to do about it; empty when nobody has an idea.
    pub hint: Foreign,
}

/// What was read again, and what was seen of it.
#[derive(Debug, Default)]
pub struct Patch {
    /// Keys of etcd that were read one by one, present or absent.
    pub keys: HashSet<Vec<u8>>,
    /// Inputs of which the whole list was read.
    pub whole: HashSet<Input>,
    /// Namespace and name.
    pub pods: HashSet<(Name, Name)>,
    pub nodes: HashSet<Name>,
    /// Namespace and name.
    pub services: HashSet<(Name, Name)>,
    /// The other side: what the second look saw of all these, by the names of the snapshot that it belongs to; once
    /// that has been swapped in, what the first look saw of them. What is of no single thing (moment, coverage, etcd's
    /// facts) is whole.
    pub other: Gathering,
}

impl Patch {
    /// A patch for this snapshot, in which nothing has been read yet. Whoever fills `other` lends it the names.
    pub fn of(first: &Snapshot) -> Patch {
        let other = Gathering {
            now: first.now,
            read_until: first.read_until,
            coverage: first.coverage.clone(),
            etcd: first.etcd.clone(),
            kube: first.kube.clone(),
            ..Gathering::default()
        };
        Patch { other, ..Patch::default() }
    }

    /// Lends the snapshot's names to `other`, so that what is read again shares them; done again, gives them back.
    pub fn swap_names(&mut self, first: &mut Snapshot) {
        std::mem::swap(&mut first.0.names, &mut self.other.names);
    }

    /// Puts the second look into `snapshot`; done again, takes it out. Both leave the snapshot sorted.
    pub fn swap(&mut self, Snapshot(snapshot): &mut Snapshot) {
        let Patch { keys, whole, pods, nodes, services, other } = self;
        let all = |input: Input| whole.contains(&input);
        std::mem::swap(&mut snapshot.now, &mut other.now);
        std::mem::swap(&mut snapshot.coverage, &mut other.coverage);
        // Nodes are looked at before the looks and not again: a node's evidence holds two readings itself.
        snapshot.coverage.copy(Input::NodeEvidence, &other.coverage);
        std::mem::swap(&mut snapshot.etcd, &mut other.etcd);

        let Gathering { names, .. } = snapshot;
        let mut text = Vec::new();
        // Most kinds have no key among them: then nothing has to be spelled.
        let any = |prefixes: &[&str]| keys.iter().any(|k| prefixes.iter().any(|p| k.starts_with(p.as_bytes())));
        macro_rules! things {
            ($list:ident, $kind:ident, $input:ident, $prefixes:expr) => {
                let touched = any($prefixes);
                exchange(&mut snapshot.$list, &mut other.$list, all(Input::$input), |thing| {
                    touched && {
                        put_key(&mut text, names, Keyed::$kind(thing));
                        keys.contains(&text)
                    }
                });
            };
        }
        things!(blocks, Block, Blocks, &[keys::BLOCKS]);
        things!(handles, Handle, Handles, &[keys::HANDLES]);
        let affinities = [keys::HOST_AFFINITIES, keys::VIRTUAL_AFFINITIES, keys::AT_AFFINITIES];
        things!(affinities, Affinity, Affinities, &affinities);
        things!(endpoints, Endpoint, Endpoints, &[keys::ENDPOINTS]);
        things!(calico_nodes, CalicoNode, CalicoNodes, &[keys::NODES]);
        things!(pools, Pool, Pools, &[keys::POOLS]);
        things!(reservations, Reservation, Pools, &[keys::RESERVATIONS]);
        things!(host_endpoints, HostEndpoint, Config, &[keys::HOST_ENDPOINTS]);
        snapshot.host_endpoint_addresses.clear();
        snapshot.host_endpoint_addresses.extend(snapshot.host_endpoints.iter().flat_map(|e| &e.addresses));
        exchange(&mut snapshot.bad_values, &mut other.bad_values, false, |bad| {
            all(bad.input) || keys.contains(&bad.key)
        });

        let read = |key: &str| all(Input::Config) || keys.contains(key.as_bytes());
        if read(keys::IPAM_CONFIG) {
            std::mem::swap(&mut snapshot.ipam_config, &mut other.ipam_config);
        }
        if read(keys::IPAM_CONFIGURATION) {
            std::mem::swap(&mut snapshot.ipam_config_resource, &mut other.ipam_config_resource);
        }
        if read(keys::CLUSTER_INFORMATION) {
            std::mem::swap(&mut snapshot.cluster, &mut other.cluster);
        }
        if read(keys::KUBE_CONTROLLERS) {
            std::mem::swap(&mut snapshot.kube_controllers, &mut other.kube_controllers);
        }

        exchange(&mut snapshot.pods, &mut other.pods, all(Input::Pods), |p| pods.contains(&(p.namespace, p.name)));
        exchange(&mut snapshot.kube_nodes, &mut other.kube_nodes, all(Input::KubeNodes), |n| nodes.contains(&n.name));
        exchange(&mut snapshot.services, &mut other.services, all(Input::Services), |s| {
            services.contains(&(s.namespace, s.name))
        });
        snapshot.sort();
    }

    /// Where all pods were listed again: lets go of those that are what the first look saw, and what is left is known by its names. A
    /// name that is listed twice, at either look, leaves the lists as they are.
    pub fn forget_unchanged_pods(&mut self, first: &Snapshot) {
        let key = |pod: &Pod| (pod.namespace, pod.name);
        let is_once = |pods: &[Pod]| pods.windows(2).all(|two| key(&two[0]) != key(&two[1]));
        let seen = &mut self.other.pods;
        // By the numbers of their names: each stands beside its like.
        seen.sort_unstable_by_key(key);
        if !self.whole.contains(&Input::Pods) || !is_once(seen) || !is_once(&first.pods) {
            return;
        }
        let places = PlaceTable::of_first(&first.pods, key);
        let mut met = vec![false; first.pods.len()];
        seen.retain(|pod| {
            let place = places.find(&first.pods, &key(pod), key).map(|place| place as usize);
            let same = place.filter(|place| first.pods.get(*place) == Some(pod));
            same.and_then(|place| met.get_mut(place)).is_none_or(|met| std::mem::replace(met, true))
        });
        seen.shrink_to_fit();
        self.whole.remove(&Input::Pods);
        self.pods.extend(seen.iter().map(key));
        self.pods.extend(first.pods.iter().zip(met).filter(|(_, met)| !met).map(|(pod, _)| key(pod)));
    }

    /// What the other side says of a pod, when that was read again: `Some(None)`, that there is none.
    pub fn pod(&self, namespace: Name, name: Name) -> Option<Option<&Pod>> {
        let read = self.whole.contains(&Input::Pods) || self.pods.contains(&(namespace, name));
        read.then(|| self.other.pods.iter().find(|p| (p.namespace, p.name) == (namespace, name)))
    }
}

/// Exchanges what was asked for: it leaves `here`, and what `other` has comes instead.
fn exchange<T>(here: &mut Vec<T>, other: &mut Vec<T>, whole: bool, mut asked: impl FnMut(&T) -> bool) {
    if whole {
        std::mem::swap(here, other);
        return;
    }
    let taken: Vec<T> = here.extract_if(.., |thing| asked(thing)).collect();
    // Not twice the room for the sake of one more.
    here.reserve_exact(other.len());
    here.append(other);
    *other = taken;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Phase, PodFields, Uid};

    fn pod(uid: Uid, namespace: Name, name: Name) -> Pod {
        let fields = PodFields {
            uid,
            namespace,
            name,
            node: Name::NONE,
            phase: Phase::Running,
            host_network: false,
            ready: true,
            controller: None,
            mirror: false,
            bare: false,
            deleting: None,
            created: None,
            addresses: [].into(),
            vmi: Name::NONE,
            no_ipam: [].into(),
            asked_for: [].into(),
            network_status: [].into(),
            floating: [].into(),
            annotated: [].into(),
        };
        fields.into()
    }

    /// Pods of a few names, each with a UID.
    fn gathering(pods: &[(u8, u8)]) -> Gathering {
        let mut gathering = Gathering::default();
        let namespace = gathering.names.intern("shop");
        for (name, uid) in pods {
            let name = gathering.names.intern(&format!("web-{name}"));
            let uid = Uid::Uuid([*uid; 16]);
            gathering.pods.push(pod(uid, namespace, name));
        }
        gathering
    }

    fn words(snapshot: &Snapshot) -> Vec<(String, Uid)> {
        snapshot.pods.iter().map(|pod| (snapshot.text(pod.name).to_owned(), pod.uid)).collect()
    }

    proptest! {
        /// All pods are listed again, some twice, some others: put in, the list is there; taken out, the first one.
        #[test]
        fn a_list_without_what_is_the_same_is_put_in_as_the_whole_list(
            then in prop::collection::vec((0..12u8, 0..2u8), 0..12),
            now in prop::collection::vec((0..12u8, 0..2u8), 0..12),
        ) {
            let mut first = gathering(&then).sorted();
            let before = words(&first);
            let mut patch = Patch::of(&first);
            patch.whole.insert(Input::Pods);
            patch.swap_names(&mut first);
            let all = gathering(&now);
            for listed in &all.pods {
                let [namespace, name] = [listed.namespace, listed.name].map(|name| patch.other.names.intern(all.text(name)));
                patch.other.pods.push(pod(listed.uid, namespace, name));
            }
            patch.swap_names(&mut first);
            patch.forget_unchanged_pods(&first);
            let (mut expected, mut seen) = (words(&gathering(&now).sorted()), Vec::new());
            patch.swap(&mut first);
            seen.extend(words(&first));
            // Those of one name stand in no order.
            expected.sort_unstable();
            seen.sort_unstable();
            prop_assert_eq!(seen, expected);
            patch.swap(&mut first);
            let (mut again, mut before) = (words(&first), before);
            again.sort_unstable();
            before.sort_unstable();
            prop_assert_eq!(again, before);
        }
    }
}
