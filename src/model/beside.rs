//! Kubernetes and etcd are read at the same time, each into a table of names of its own: here the two become one.
//!
//! A name says nothing beside another table, so every one of Kubernetes' things is given the name that its text has
//! in etcd's table. Fields are taken apart one by one: a new one that holds a name cannot be forgotten.

use super::hash::HashMap;
use super::snapshot::KubeFacts;
use super::{Gathering, Input, KubeNode, Name, Names, Namespace, Pod, PodFields, Service, Uid};

impl Gathering {
    /// Puts all of Kubernetes' side into this one, in the place of what it has of it: objects, what was read of each
    /// kind, and what the server said of itself. What `kubernetes` has of etcd's side is not looked at.
    pub fn take_kubernetes(&mut self, kubernetes: Gathering) {
        let Gathering { names, coverage, kube, pods, kube_nodes, services, namespaces, .. } = kubernetes;
        let mut renaming = Renaming { from: &names, to: &mut self.names, known: HashMap::default() };
        self.pods = pods;
        self.pods.iter_mut().for_each(|pod| renaming.pod(pod));
        self.kube_nodes = kube_nodes;
        self.kube_nodes.iter_mut().for_each(|node| renaming.node(node));
        self.services = services;
        self.services.iter_mut().for_each(|service| renaming.service(service));
        self.namespaces = namespaces;
        self.namespaces.iter_mut().for_each(|namespace| renaming.namespace(namespace));
        // Nothing in it is a name.
        let KubeFacts { kube_system_uid: _, kubernetes_service_uid: _, clocks: _, server: _ } = &kube;
        self.kube = kube;
        for input in Input::ALL.into_iter().filter(|input| input.is_kubernetes()) {
            self.coverage.set(input, coverage.state(input), coverage.detail(input));
            if let Some(hint) = coverage.hint(input).some() {
                self.coverage.set_hint(input, hint.clone());
            }
        }
    }
}

/// From one table's names to another's.
struct Renaming<'a> {
    from: &'a Names,
    to: &'a mut Names,
    /// What many things share: namespaces, nodes, controllers.
    known: HashMap<Name, Name>,
}

impl Renaming<'_> {
    /// A name that belongs to one thing.
    fn own(&mut self, name: &mut Name) {
        *name = self.to.intern(self.from.get(*name));
    }

    /// A name that many things share.
    fn shared(&mut self, name: &mut Name) {
        if !name.is_none() {
            *name = *self.known.entry(*name).or_insert_with(|| self.to.intern(self.from.get(*name)));
        }
    }

    fn uid(&mut self, uid: &mut Uid) {
        match uid {
            Uid::Uuid(_) => {}
            Uid::Other(name) => self.own(name),
        }
    }

    fn pod(&mut self, pod: &mut Pod) {
        let mut fields = pod.fields();
        let PodFields {
            uid,
            namespace,
            name,
            node,
            controller,
            vmi,
            phase: _,
            host_network: _,
            ready: _,
            deleting: _,
            created: _,
            addresses: _,
            mirror: _,
            bare: _,
            no_ipam: _,
            asked_for: _,
            network_status: _,
            floating: _,
            annotated: _,
        } = &mut fields;
        self.uid(uid);
        self.own(name);
        [namespace, node, vmi].into_iter().for_each(|name| self.shared(name));
        if let Some((kind, name)) = controller {
            self.shared(kind);
            self.shared(name);
        }
        *pod = fields.into();
    }

    fn node(&mut self, node: &mut KubeNode) {
        let KubeNode { uid, name, boot_id, internal_addresses: _, ready: _, pod_cidrs: _, windows: _, created: _ } =
            node;
        self.uid(uid);
        self.own(name);
        self.own(boot_id);
    }

    fn service(&mut self, service: &mut Service) {
        let Service {
            uid,
            namespace,
            name,
            class,
            load_balancer: _,
            requests_address: _,
            families: _,
            ingress: _,
            deleting: _,
        } = service;
        self.uid(uid);
        self.shared(namespace);
        self.own(name);
        class.iter_mut().for_each(|class| self.shared(class));
    }

    fn namespace(&mut self, namespace: &mut Namespace) {
        let Namespace { uid, name, deleting: _ } = namespace;
        self.uid(uid);
        self.own(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InputState;

    #[test]
    fn things_have_the_same_names_in_the_other_table() {
        let mut etcd = Gathering::default();
        let [node, shop] = ["node-1", "shop"].map(|text| etcd.names.intern(text));
        etcd.pods.push(pod(&mut Names::default(), "old", "gone"));
        let mut kube = Gathering::default();
        kube.names.intern("first, so that no number is the same");
        kube.pods = vec![pod(&mut kube.names, "shop", "web-0"), pod(&mut kube.names, "shop", "web-1")];
        kube.kube.server = "https://kube".to_owned();
        kube.coverage.set(Input::Pods, InputState::Partial, "half of it");
        kube.coverage.set_hint(Input::Pods, "wait");
        etcd.coverage.set(Input::Blocks, InputState::Complete, "");
        etcd.take_kubernetes(kube);
        let told: Vec<_> = etcd.pods.iter().map(|pod| (pod.namespace, pod.node, etcd.text(pod.name))).collect();
        assert_eq!(told, [(shop, node, "web-0"), (shop, node, "web-1")]);
        let pod = &etcd.pods[0];
        assert_eq!((pod.uid.text(&etcd.names), pod.vmi()), ("uid of web-0".to_owned(), Name::NONE));
        let (kind, name) = pod.controller.unwrap();
        assert_eq!((etcd.text(kind), etcd.text(name)), ("ReplicaSet", "web"));
        let coverage = &etcd.coverage;
        let pods = (coverage.state(Input::Pods), coverage.detail(Input::Pods), coverage.hint(Input::Pods));
        assert_eq!(pods, (InputState::Partial, "half of it".into(), "wait".into()));
        assert!(coverage.complete(Input::Blocks) && !coverage.complete(Input::Services));
        assert_eq!(etcd.kube.server, "https://kube");
    }

    fn pod(names: &mut Names, namespace: &str, name: &str) -> Pod {
        PodFields {
            uid: Uid::intern(names, &format!("uid of {name}")),
            namespace: names.intern(namespace),
            name: names.intern(name),
            node: names.intern("node-1"),
            phase: crate::model::Phase::Running,
            host_network: false,
            ready: true,
            deleting: None,
            created: None,
            addresses: Box::default(),
            controller: Some((names.intern("ReplicaSet"), names.intern("web"))),
            mirror: false,
            bare: false,
            vmi: Name::NONE,
            no_ipam: Box::default(),
            asked_for: Box::default(),
            network_status: Box::default(),
            floating: Box::default(),
            annotated: Box::default(),
        }
        .into()
    }
}
