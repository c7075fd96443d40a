//! Takes out what stands under single keys, before they are decoded anew or because they are gone.

use super::endpoint_name::parse_endpoint_name;
use super::keys::{self, Key};
use crate::model::hash::HashSet;
use crate::model::keys::{Keyed, put_key};
use crate::model::usual::EndpointKey;
use crate::model::{Cidr, Gathering, HandleId, Host, Name, Names};

/// By what things are found, before their keys are compared.
#[derive(Default)]
struct UnderKeys {
    blocks: HashSet<Cidr>,
    handles: HashSet<HandleId>,
    affinities: HashSet<(Host, Cidr)>,
    endpoints: HashSet<(Name, EndpointKey)>,
    nodes: HashSet<Name>,
    pools: HashSet<Name>,
    reservations: HashSet<Name>,
    host_endpoints: HashSet<Name>,
}

/// Takes out everything that stands under one of these keys; how many there were. The lists stay sorted.
pub fn remove(snapshot: &mut Gathering, keys: &HashSet<Vec<u8>>) -> usize {
    take_out(snapshot, keys, &mut Gathering::default())
}

/// The same; what stands in a list is `taken`, whose names are those of `snapshot`.
pub fn take_out(snapshot: &mut Gathering, keys: &HashSet<Vec<u8>>, taken: &mut Gathering) -> usize {
    let mut removed = 0;
    let mut meant = UnderKeys::default();
    for key in keys {
        let Some(Ok(key)) = keys::parse(key) else { continue };
        removed += usize::from(reset(snapshot, key));
        // A text that the table does not have is of nothing that is there.
        let _ = meant.add(&snapshot.names, key);
    }
    let Gathering { names, .. } = snapshot;
    let mut text = Vec::new();
    macro_rules! take_out {
        ($list:ident, $ids:ident, |$thing:ident| $id:expr) => {
            if !meant.$ids.is_empty() {
                let before = taken.$list.len();
                taken.$list.extend(snapshot.$list.extract_if(.., |$thing| {
                    meant.$ids.contains(&$id) && {
                        put_key(&mut text, names, Keyed::from(&*$thing));
                        keys.contains(&text)
                    }
                }));
                removed += taken.$list.len() - before;
            }
        };
    }
    take_out!(blocks, blocks, |b| b.cidr);
    take_out!(handles, handles, |h| h.id);
    take_out!(affinities, affinities, |a| (a.host, a.cidr));
    take_out!(endpoints, endpoints, |e| (e.namespace, e.name()));
    take_out!(calico_nodes, nodes, |n| n.name);
    take_out!(pools, pools, |p| p.name);
    take_out!(reservations, reservations, |r| r.name);
    take_out!(host_endpoints, host_endpoints, |e| e.name);
    let addresses = snapshot.host_endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied());
    snapshot.host_endpoint_addresses = addresses.collect();
    snapshot.host_endpoint_addresses.sort_unstable();
    let before = taken.bad_values.len() + taken.idle_keys.len();
    taken.bad_values.extend(snapshot.bad_values.extract_if(.., |bad| keys.contains(&bad.key)));
    taken.idle_keys.extend(snapshot.idle_keys.extract_if(.., |key| keys.contains(key)));
    removed + taken.bad_values.len() + taken.idle_keys.len() - before
}

/// What has a key of its own alone; whether there was something.
fn reset(snapshot: &mut Gathering, key: Key<'_>) -> bool {
    match key {
        Key::IpamConfig => std::mem::take(&mut snapshot.ipam_config).meta.is_some(),
        Key::IpamConfiguration => std::mem::take(&mut snapshot.ipam_config_resource).meta.is_some(),
        Key::ClusterInformation => std::mem::take(&mut snapshot.cluster).meta.is_some(),
        Key::KubeControllers => std::mem::take(&mut snapshot.kube_controllers).meta.is_some(),
        _ => false,
    }
}

impl UnderKeys {
    fn add(&mut self, names: &Names, key: Key<'_>) -> Option<bool> {
        Some(match key {
            Key::Block(cidr) => self.blocks.insert(cidr),
            Key::Handle(id) => self.handles.insert(HandleId::find(names, id)?),
            Key::Affinity(kind, name, cidr) => self.affinities.insert((Host { kind, name: names.find(name)? }, cidr)),
            Key::Endpoint(namespace, name) => {
                // Held in the one form or in the other.
                let namespace = names.find(namespace)?;
                let parts = parse_endpoint_name(name);
                let of_pod = parts.and_then(|of| Some((names.find(&of.node)?, names.find(&of.workload)?)));
                let of_pod = of_pod.map(|(node, pod)| EndpointKey::OfPod { node, pod });
                let forms = of_pod.into_iter().chain(names.find(name).map(EndpointKey::Other));
                forms.filter(|form| self.endpoints.insert((namespace, *form))).count() > 0
            }
            Key::Node(name) => self.nodes.insert(names.find(name)?),
            Key::Pool(name) => self.pools.insert(names.find(name)?),
            Key::Reservation(name) => self.reservations.insert(names.find(name)?),
            Key::HostEndpoint(name) => self.host_endpoints.insert(names.find(name)?),
            Key::IpamHost(_)
            | Key::IpamConfig
            | Key::IpamConfiguration
            | Key::ClusterInformation
            | Key::KubeControllers => return None,
        })
    }
}
