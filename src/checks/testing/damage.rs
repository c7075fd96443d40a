//! How a cluster under construction is broken: its things by name, to be changed or taken away.

use super::{Cluster, Opened, addr, cidr};
use crate::model::snapshot::Dark;
use crate::model::{
    Attribute, AttributeFields, BadValue, Block, Endpoint, EndpointFields, Handle, HandleFields, HandleId, Input, Pod,
    PodFields,
};

impl Cluster {
    pub fn pod_mut(&mut self, name: &str) -> Opened<'_, Pod, PodFields> {
        let name = self.name(name);
        Opened::of(self.snapshot.pods.iter_mut().find(|p| p.name == name).expect("the pod exists"), Pod::fields)
    }

    /// Changes every pod.
    pub fn each_pod(&mut self, mut change: impl FnMut(&mut PodFields)) {
        self.snapshot.pods.iter_mut().for_each(|p| change(&mut Opened::of(p, Pod::fields)));
    }

    /// The first endpoint of the pod of this name.
    pub fn endpoint_mut(&mut self, pod: &str) -> Opened<'_, Endpoint, EndpointFields> {
        let pod = self.name(pod);
        self.open_endpoint(|e| e.pod == pod)
    }

    /// The first endpoint that `is` the one meant.
    pub fn open_endpoint(&mut self, is: impl FnMut(&&mut Endpoint) -> bool) -> Opened<'_, Endpoint, EndpointFields> {
        Opened::of(self.snapshot.endpoints.iter_mut().find(is).expect("the endpoint exists"), Endpoint::fields)
    }

    /// The endpoint that was made last.
    pub fn last_endpoint(&mut self) -> Opened<'_, Endpoint, EndpointFields> {
        Opened::of(self.snapshot.endpoints.last_mut().expect("there is one"), Endpoint::fields)
    }

    /// The handle that was made first.
    pub fn first_handle(&mut self) -> Opened<'_, Handle, HandleFields> {
        Opened::of(self.snapshot.handles.first_mut().expect("there is one"), Handle::fields)
    }

    /// The handle that was made last.
    pub fn last_handle(&mut self) -> Opened<'_, Handle, HandleFields> {
        Opened::of(self.snapshot.handles.last_mut().expect("there is one"), Handle::fields)
    }

    /// Changes every endpoint.
    pub fn each_endpoint(&mut self, mut change: impl FnMut(&mut EndpointFields)) {
        self.snapshot.endpoints.iter_mut().for_each(|e| change(&mut Opened::of(e, Endpoint::fields)));
    }

    pub fn block_mut(&mut self, range: &str) -> &mut Block {
        let range = cidr(range);
        self.snapshot.blocks.iter_mut().find(|b| b.cidr == range).expect("the block exists")
    }

    pub fn handle_mut(&mut self, id: &str) -> Opened<'_, Handle, HandleFields> {
        let id = HandleId::intern(&mut self.snapshot.names, id).unwrap();
        let handle = self.snapshot.handles.iter_mut().find(|h| h.id == id).expect("the handle exists");
        Opened::of(handle, Handle::fields)
    }

    /// The attribute of an allocated address.
    pub fn attribute_mut(&mut self, address: &str) -> Opened<'_, Attribute, AttributeFields> {
        let address = addr(address);
        let block = self.snapshot.blocks.iter_mut().find(|b| b.cidr.contains(address)).expect("a block covers it");
        let ordinal = block.cidr.ordinal(address).unwrap() as usize;
        let index = block.allocations[ordinal].expect("it is allocated") as usize;
        Opened::of(&mut block.attributes[index], Attribute::fields)
    }

    pub fn remove_pod(&mut self, name: &str) {
        let name = self.name(name);
        self.snapshot.pods.retain(|p| p.name != name);
    }

    pub fn remove_endpoint(&mut self, pod: &str) {
        let pod = self.name(pod);
        self.snapshot.endpoints.retain(|e| e.pod != pod);
    }

    pub fn remove_handle(&mut self, id: &str) {
        let id = HandleId::intern(&mut self.snapshot.names, id).unwrap();
        self.snapshot.handles.retain(|h| h.id != id);
    }

    pub fn remove_calico_node(&mut self, name: &str) {
        let name = self.name(name);
        self.snapshot.calico_nodes.retain(|n| n.name != name);
    }

    pub fn remove_kube_node(&mut self, name: &str) {
        let name = self.name(name);
        self.snapshot.kube_nodes.retain(|n| n.name != name);
    }

    /// A block of this range that does not decode.
    pub fn dark(&mut self, range: &str) {
        self.bad(Input::Blocks, Dark::Range(cidr(range)));
    }

    /// A value of this input that does not decode and hides that.
    pub fn bad(&mut self, input: Input, dark: Dark) {
        let (key, reason) = (format!("/calico/bad/{}", self.revision).into_bytes(), "not JSON".to_owned());
        let mod_revision = self.meta().mod_revision;
        self.snapshot.bad_values.push(BadValue { key, input, offset: None, reason, dark: vec![dark], mod_revision });
    }
}
