//! Whom an allocation names: the pod that one has in hand, another one, or nobody.
//!
//! Both owner sets count alike (`alternateOwnerAttrs` is the target of a live migration). An allocation that says
//! too little contradicts nobody: unknown is not absent.

use super::{Allocation, Ledger, Use};
use crate::model::{HandleId, Name, Names, Owner, Pod};

/// What an allocation says of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// It was made for this pod, or for the KubeVirt machine that the pod runs.
    This,
    /// It was made for something else: another pod, a tunnel, a service, Windows.
    Another,
    /// It names no owner, as old ones do, or its attribute is missing, or it is cooling down.
    Nobody,
}

impl Ledger<'_> {
    /// What an allocation says of `pod`.
    pub fn says(&self, allocation: &Allocation, pod: &Pod) -> Says {
        if matches!(allocation.used_for, Use::Cooling | Use::Broken) {
            return Says::Nobody;
        }
        let names = &self.snapshot.names;
        let machine = self.handle_of(allocation).and_then(|h| Machine::of(names, h)).filter(|_| !pod.vmi().is_none());
        let mut says = match machine {
            Some(Machine::Named(namespace, vmi)) => {
                let this = (&*namespace, &*vmi) == (names.get(pod.namespace), names.get(pod.vmi()));
                if this { Says::This } else { Says::Nobody }
            }
            // A hashed id may be any machine's.
            Some(Machine::Hashed) => return Says::Nobody,
            None => Says::Nobody,
        };
        for owner in self.owners_of(allocation) {
            says = match (says, owner_says(&owner, pod)) {
                (Says::This, _) | (_, Says::This) => Says::This,
                (Says::Another, _) | (_, Says::Another) => Says::Another,
                _ => Says::Nobody,
            };
        }
        says
    }
}

fn owner_says(owner: &Owner, pod: &Pod) -> Says {
    // A part that is not given contradicts nobody.
    let fits = |given: Name, actual: Name| given.is_none() || given == actual;
    let same_namespace = fits(owner.namespace, pod.namespace);
    let this_pod = !owner.pod.is_none() && owner.pod == pod.name;
    let this_machine = !owner.vmi.is_none() && owner.vmi == pod.vmi();
    let named = [owner.pod, owner.service, owner.kind, owner.vmi, owner.note];
    if same_namespace && (this_pod || this_machine) {
        Says::This
    } else if named.iter().all(|n| n.is_none()) && same_namespace {
        Says::Nobody
    } else {
        Says::Another
    }
}

/// The KubeVirt machine that a handle names: `<network>.vmi.<namespace>.<vm>`, or only a hash of it.
enum Machine {
    Named(String, String),
    Hashed,
}

impl Machine {
    fn of(names: &Names, id: HandleId) -> Option<Machine> {
        if !id.is_vm(names) {
            return None;
        }
        let text = id.text(names);
        let (_, machine) = text.split_once(".vmi.")?;
        Some(match machine.split_once('.') {
            Some((namespace, vm)) => Machine::Named(namespace.to_owned(), vm.to_owned()),
            None => Machine::Hashed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};

    /// What web-0's allocation says of web-0 after `change`.
    fn says(change: impl FnOnce(&mut Cluster)) -> Says {
        let mut c = Cluster::healthy();
        change(&mut c);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let (shop, web) = (c.snapshot.names.find("shop").unwrap(), c.snapshot.names.find("web-0").unwrap());
        ledger.says(&ledger.allocations_at(addr("10.65.0.1"))[0], ledger.pod(shop, web).unwrap())
    }

    fn owner(c: &mut Cluster, owner: Owner) {
        c.attribute_mut("10.65.0.1").owner = owner;
    }

    #[test]
    fn either_owner_set_names_the_pod() {
        assert_eq!(says(|_| ()), Says::This);
        assert_eq!(says(|c| c.attribute_mut("10.65.0.1").owner.pod = Name::NONE), Says::Nobody);
        let other = |c: &mut Cluster| {
            let name = c.name("other-0");
            let mut attribute = c.attribute_mut("10.65.0.1");
            let before = std::mem::replace(&mut attribute.owner.pod, name);
            (before, attribute.owner)
        };
        let renamed = |c: &mut Cluster| {
            other(c);
        };
        assert_eq!(says(renamed), Says::Another);
        let alternate = |c: &mut Cluster| {
            let (pod, owner) = other(c);
            c.attribute_mut("10.65.0.1").alternate = Some(Box::new(Owner { pod, ..owner }));
        };
        assert_eq!(says(alternate), Says::This);
    }

    #[test]
    fn what_says_too_little_contradicts_nobody() {
        assert_eq!(says(|c| owner(c, Owner::default())), Says::Nobody);
        let node = |c: &mut Cluster| {
            let node = c.name("node-9");
            owner(c, Owner { node, ..Owner::default() });
        };
        assert_eq!(says(node), Says::Nobody, "a node is no owner");
        let tunnel = |c: &mut Cluster| {
            let kind = c.name("ipipTunnelAddress");
            owner(c, Owner { kind, ..Owner::default() });
        };
        assert_eq!(says(tunnel), Says::Another);
    }

    #[test]
    fn a_machine_is_named_by_its_attributes_or_its_handle() {
        let machine = |handle: &'static str, vmi: &'static str| {
            says(move |c| {
                let (vm, handle) = (c.name("fedora"), HandleId::intern(&mut c.snapshot.names, handle));
                let owner = Owner { pod: c.name("virt-launcher-old"), vmi: c.name(vmi), ..Owner::default() };
                c.pod_mut("web-0").vmi = vm;
                *c.attribute_mut("10.65.0.1") = crate::model::AttributeFields { handle, owner, ..Default::default() };
            })
        };
        assert_eq!(machine("k8s-pod-network.vmi.shop.fedora", ""), Says::This);
        assert_eq!(machine("k8s-pod-network.vmi._0123", ""), Says::Nobody);
        assert_eq!(machine("k8s-pod-network.vmi.shop.debian", ""), Says::Another);
        assert_eq!(machine("k8s-pod-network.0123", "fedora"), Says::This);
        assert_eq!(machine("k8s-pod-network.0123", "debian"), Says::Another);
    }
}
