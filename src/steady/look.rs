//! What a second look reads again, and how: one by one, or with one more list.

use std::collections::BTreeSet;

use crate::model::{Cidr, EndpointKey, HandleId, Host, Input, Look, Name, Snapshot};

/// Keys of etcd that one request reads.
const KEYS_AT_ONCE: usize = 128;
/// A few hundred objects of Kubernetes are asked for one by one, several at a time, sooner than tens of thousands listed.
const SINGLE_OBJECTS: usize = 300;
/// In a smaller cluster no more than one in so many.
const ONE_IN: usize = 50;

/// What a second look reads again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondLook {
    pub blocks: Again<Cidr>,
    pub handles: Again<HandleId>,
    pub affinities: Again<(Host, Cidr)>,
    /// Namespace and name of the key.
    pub endpoints: Again<(Name, EndpointKey)>,
    /// Calico's name of a node, namespace and pod: the key `<node>-k8s-<pod>-eth0`, absent at the first look.
    pub endpoints_of_pods: Again<(Name, Name, Name)>,
    pub calico_nodes: Again<Name>,
    /// Pools, reservations and settings, all of them.
    pub settings: bool,
    /// Namespace and name.
    pub pods: Again<(Name, Name)>,
    pub kube_nodes: Again<Name>,
    /// Namespace and name.
    pub services: Again<(Name, Name)>,
}

/// Which of one kind are read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again<T> {
    /// These, present or absent; none when empty.
    These(BTreeSet<T>),
    /// So many that one more list is cheaper.
    All,
}

impl<T> Default for Again<T> {
    fn default() -> Again<T> {
        Again::These(BTreeSet::new())
    }
}

impl<T: Ord> Again<T> {
    pub(super) fn add(&mut self, suspect: T) {
        if let Again::These(list) = self {
            list.insert(suspect);
        }
    }

    fn list_if(&mut self, listed: bool) {
        if listed {
            *self = Again::All;
        }
    }

    /// How many are read one by one.
    fn len(&self) -> usize {
        if let Again::These(list) = self { list.len() } else { 0 }
    }
}

impl SecondLook {
    /// How many keys and objects are read again one by one, for progress.
    pub fn size(&self) -> usize {
        let etcd = self.blocks.len() + self.handles.len() + self.affinities.len() + self.endpoints.len();
        let etcd = etcd + self.endpoints_of_pods.len();
        etcd + self.calico_nodes.len() + self.pods.len() + self.kube_nodes.len() + self.services.len()
    }

    /// The etcd inputs of which the whole list is read again.
    pub fn whole_inputs(&self) -> Vec<Input> {
        let whole = [
            (self.blocks == Again::All, Input::Blocks),
            (self.handles == Again::All, Input::Handles),
            (self.affinities == Again::All, Input::Affinities),
            (self.endpoints == Again::All || self.endpoints_of_pods == Again::All, Input::Endpoints),
            (self.calico_nodes == Again::All, Input::CalicoNodes),
            (self.settings, Input::Pools),
            (self.settings, Input::Config),
        ];
        whole.into_iter().filter(|(whole, _)| *whole).map(|(_, input)| input).collect()
    }

    pub(super) fn add(&mut self, look: Look) {
        match look {
            Look::Block(cidr) => self.blocks.add(cidr),
            Look::Handle(id) => self.handles.add(id),
            Look::Affinity(host, cidr) => self.affinities.add((host, cidr)),
            Look::Endpoint(namespace, name) => self.endpoints.add((namespace, name)),
            Look::EndpointsOfPod(node, namespace, pod) => self.endpoints_of_pods.add((node, namespace, pod)),
            Look::CalicoNode(node) => self.calico_nodes.add(node),
            Look::Settings => self.settings = true,
            Look::Pod(namespace, name) => self.pods.add((namespace, name)),
            Look::KubeNode(node) => self.kube_nodes.add(node),
            Look::Service(namespace, name) => self.services.add((namespace, name)),
            Look::Services => self.services = Again::All,
        }
    }
}

/// One kind of suspects beside what the first look had of it.
#[derive(Clone, Copy, Debug)]
struct Load {
    asked: usize,
    /// Requests that the first look needed for all of it, at the least.
    pages: usize,
}

/// Which kinds are listed once more, the largest first, until the rest needs no more requests than the first look made
/// for it. `at_once`: suspects a request; `free`: so many may be read one by one whatever the first look needed.
fn listed<const N: usize>(kinds: [Load; N], at_once: usize, free: usize) -> [bool; N] {
    let mut listed = [false; N];
    loop {
        let rest = || kinds.iter().zip(listed).filter(|(_, listed)| !listed).map(|(load, _)| load);
        let asked: usize = rest().map(|load| load.asked).sum();
        // One more than its pages: the first look asks for namespaces, and learns the last compaction, beside them.
        let pages = 1 + rest().map(|load| load.pages).sum::<usize>();
        let none_yet = !listed.contains(&true);
        if asked.div_ceil(at_once) <= pages || (none_yet && asked <= free) {
            return listed;
        }
        let largest = kinds.iter().zip(&mut listed).filter(|(_, listed)| !**listed).max_by_key(|(load, _)| load.asked);
        match largest {
            Some((_, listed)) => *listed = true,
            None => return listed,
        }
    }
}

impl SecondLook {
    /// Decides for every kind whether its suspects are read one by one or with one more list, so that many suspects
    /// never cost more requests than the first look at everything did. `page`: objects in a page of Kubernetes' lists.
    #[must_use]
    pub fn batched(mut self, first: &Snapshot, page: usize) -> SecondLook {
        // What is listed anyway leaves no requests to spare.
        fn load<T>(again: &Again<T>, held: usize, page: usize) -> Load {
            match again {
                Again::These(list) => Load { asked: list.len(), pages: held.div_ceil(page.max(1)).max(1) },
                Again::All => Load { asked: 0, pages: 0 },
            }
        }
        let objects = first.pods.len() + first.kube_nodes.len() + first.services.len();
        let kubernetes = [
            load(&self.pods, first.pods.len(), page),
            load(&self.kube_nodes, first.kube_nodes.len(), page),
            load(&self.services, first.services.len(), page),
        ];
        let [pods, nodes, services] = listed(kubernetes, 1, SINGLE_OBJECTS.min(objects / ONE_IN));
        self.pods.list_if(pods);
        self.kube_nodes.list_if(nodes);
        self.services.list_if(services);

        // The largest pages that a read of etcd makes.
        let mut endpoints = load(&self.endpoints, first.endpoints.len(), 10_000);
        endpoints.asked += load(&self.endpoints_of_pods, 0, 1).asked;
        let etcd = [
            load(&self.blocks, first.blocks.len(), 1000),
            load(&self.handles, first.handles.len(), 5000),
            load(&self.affinities, first.affinities.len(), 5000),
            endpoints,
            load(&self.calico_nodes, first.calico_nodes.len(), 5000),
        ];
        let [blocks, handles, affinities, endpoints, calico_nodes] = listed(etcd, KEYS_AT_ONCE, 0);
        self.blocks.list_if(blocks);
        self.handles.list_if(handles);
        self.affinities.list_if(affinities);
        self.endpoints.list_if(endpoints);
        self.endpoints_of_pods.list_if(endpoints);
        self.calico_nodes.list_if(calico_nodes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gathering;
    use crate::model::Names;

    fn look(names: &mut Names, pods: usize, nodes: usize) -> SecondLook {
        let mut look = SecondLook::default();
        let namespace = names.intern("shop");
        for i in 0..pods {
            let pod = names.intern(&format!("web-{i}"));
            look.add(Look::Pod(namespace, pod));
            look.add(Look::Endpoint(namespace, EndpointKey::Other(pod)));
            look.add(Look::Handle(HandleId { head: namespace, tail: pod, dotted: true }));
        }
        (0..nodes).map(|i| names.intern(&format!("node-{i}"))).for_each(|node| look.add(Look::KubeNode(node)));
        look
    }

    /// A snapshot with so many of each.
    fn snapshot(pods: usize, nodes: usize) -> Gathering {
        use crate::checks::testing::Cluster;
        let mut snapshot = Cluster::healthy().snapshot;
        snapshot.pods = vec![snapshot.pods[0].clone(); pods];
        snapshot.endpoints = vec![snapshot.endpoints[0].clone(); pods];
        snapshot.handles = vec![snapshot.handles[0].clone(); pods];
        snapshot.kube_nodes = vec![snapshot.kube_nodes[0].clone(); nodes];
        snapshot
    }

    fn requests<T>(again: &Again<T>, held: usize, page: usize, at_once: usize) -> usize {
        match again {
            Again::These(list) => list.len().div_ceil(at_once),
            Again::All => held.div_ceil(page).max(1),
        }
    }

    #[test]
    fn a_few_suspects_are_asked_for_one_by_one() {
        let mut first = snapshot(20_000, 200);
        let few = look(&mut first.names, 200, 50).batched(&first.sorted(), 1000);
        assert!(matches!(&few.pods, Again::These(pods) if pods.len() == 200));
        assert!(matches!(&few.kube_nodes, Again::These(nodes) if nodes.len() == 50));
        assert!(few.whole_inputs().is_empty());
        let mut tiny = snapshot(4, 2);
        let one = look(&mut tiny.names, 1, 1).batched(&tiny.sorted(), 1000);
        assert!(one.pods != Again::All && one.kube_nodes != Again::All && one.whole_inputs().is_empty());
    }

    /// Whatever the cluster's size: never more requests than the first look made.
    #[test]
    fn four_hundred_suspects_need_no_more_requests_than_the_first_look() {
        for (pods, nodes) in [(400, 3), (500, 100), (5_000, 400), (20_000, 5_000), (150_000, 5_000)] {
            let mut first = snapshot(pods, nodes);
            let look = look(&mut first.names, 400, nodes.min(400)).batched(&first.sorted(), 1000);
            let of_pods = requests(&look.pods, pods, 1000, 1);
            let of_nodes = requests(&look.kube_nodes, nodes, 1000, 1);
            let first_look = pods.div_ceil(1000) + nodes.div_ceil(1000) + 2;
            assert!(of_pods + of_nodes <= first_look, "{pods} pods: {of_pods} + {of_nodes} > {first_look}");
            let keys = [requests(&look.endpoints, pods, 10_000, 128), requests(&look.handles, pods, 5000, 128)];
            let first_look = pods.div_ceil(10_000) + pods.div_ceil(5000) + 10;
            assert!(keys.iter().sum::<usize>() <= first_look, "{pods} pods: {keys:?} > {first_look}");
        }
    }

    #[test]
    fn what_names_no_service_reads_all_of_them() {
        let mut look = SecondLook::default();
        look.add(Look::Services);
        assert!(look.services == Again::All);
        let first = snapshot(10, 2);
        assert!(look.batched(&first.sorted(), 1000).services == Again::All);
    }
}
