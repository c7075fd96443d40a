//! A word as kubectl takes one: `pod/shop/web-0`, `no/node-1`, `svc/web`; or a name alone, which may be anything's.

/// What a word says that it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordKind {
    /// Or a CIDR.
    Address,
    /// Or a container.
    Handle,
    Node,
    Pod,
    Pool,
    Service,
    Vm,
}

/// kubectl's names of each kind, in one and many and short, and ours of what it does not know.
const SAID: [(WordKind, &[&str]); 7] = [
    (WordKind::Address, &["address", "addresses", "ip", "block", "cidr"]),
    (WordKind::Handle, &["handle", "handles", "container"]),
    (WordKind::Node, &["node", "nodes", "no"]),
    (WordKind::Pod, &["pod", "pods", "po"]),
    (WordKind::Pool, &["pool", "pools", "ippool", "ippools"]),
    (WordKind::Service, &["service", "services", "svc"]),
    (WordKind::Vm, &["vm", "vms", "vmi", "vmis", "virtualmachine", "virtualmachineinstance"]),
];

/// kubectl's names of what makes pods, long and short: neither IPAM nor an endpoint names it.
const WORKLOADS: [&str; 17] = [
    "deployment",
    "deployments",
    "deploy",
    "replicaset",
    "replicasets",
    "rs",
    "statefulset",
    "statefulsets",
    "sts",
    "daemonset",
    "daemonsets",
    "ds",
    "job",
    "jobs",
    "cronjob",
    "cronjobs",
    "cj",
];

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<'w> {
    /// As it was typed.
    pub typed: &'w str,
    /// `None`: whatever is called so.
    pub kind: Option<WordKind>,
    /// Without the kind.
    pub name: &'w str,
    /// Of pods, services and machines only those of this one are meant, where the name says none.
    pub namespace: Option<&'w str>,
}

impl<'w> Word<'w> {
    /// Reads what was typed.
    pub fn of(typed: &'w str) -> Word<'w> {
        let split = typed.split_once('/').filter(|(_, name)| !name.is_empty());
        let said = split.and_then(|(kind, name)| {
            let kind = kind.to_ascii_lowercase();
            let (of, _) = SAID.iter().find(|(_, words)| words.contains(&kind.as_str()))?;
            Some((*of, name))
        });
        match said {
            Some((kind, name)) => Word { typed, kind: Some(kind), name, namespace: None },
            None => Word { typed, kind: None, name: typed, namespace: None },
        }
    }

    /// The same in one namespace.
    #[must_use]
    pub fn of_namespace(self, namespace: Option<&'w str>) -> Word<'w> {
        Word { namespace, ..self }
    }

    /// Whether it may name something of this kind.
    pub fn may_be(&self, kind: WordKind) -> bool {
        self.kind.is_none_or(|said| said == kind)
    }

    /// By its form, why nothing can be called so, and what can be asked for instead.
    pub fn hint(&self) -> Option<&'static str> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_workload =
            |kind: &str| WORKLOADS.contains(&kind.split('.').next().unwrap_or_default().to_ascii_lowercase().as_str());
        if self.name.contains("://") {
            return Some("IPAM knows a pod's sandbox and none of its containers: ask for the pod");
        }
        if self.typed.split_once('/').is_some_and(|(kind, _)| is_workload(kind)) {
            return Some("ask for one of its pods, or for pod, node, service, vm, pool, address, block or handle");
        }
        let address = self.name.split('/').next().unwrap_or_default();
        let is_dotted = address.split('.').count() == 4 && address.split('.').all(digits);
        is_dotted.then_some("it is no IP address")
    }

    /// The beginning of a container's id, as crictl and docker show it: 12 hexadecimal digits or more of its 64.
    pub fn container(&self) -> Option<String> {
        let is_part = (12..64).contains(&self.name.len()) && self.name.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_part.then(|| self.name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_as_kubectl_tells_it() {
        for (typed, kind, name) in [
            ("pod/web-0", Some(WordKind::Pod), "web-0"),
            ("po/shop/web-0", Some(WordKind::Pod), "shop/web-0"),
            ("Pods/web-0", Some(WordKind::Pod), "web-0"),
            ("no/node-1", Some(WordKind::Node), "node-1"),
            ("svc/shop/web", Some(WordKind::Service), "shop/web"),
            ("vm/vms/fedora", Some(WordKind::Vm), "vms/fedora"),
            ("handle/k8s-pod-network.3f2c", Some(WordKind::Handle), "k8s-pod-network.3f2c"),
            ("address/10.65.0.7", Some(WordKind::Address), "10.65.0.7"),
            ("block/10.65.0.0/26", Some(WordKind::Address), "10.65.0.0/26"),
            ("ippool/default", Some(WordKind::Pool), "default"),
            ("pool/10.65.0.0/16", Some(WordKind::Pool), "10.65.0.0/16"),
            ("shop/web-0", None, "shop/web-0"),
            ("10.65.0.0/26", None, "10.65.0.0/26"),
            ("node-1", None, "node-1"),
            ("pod/", None, "pod/"),
            ("pod", None, "pod"),
            ("", None, ""),
        ] {
            assert_eq!(Word::of(typed), Word { typed, kind, name, namespace: None }, "{typed}");
        }
    }

    #[test]
    fn what_nothing_can_be_called_is_told_by_its_form() {
        let hint = |typed: &str| Word::of(typed).hint().unwrap_or_default().split_whitespace().next();
        for (typed, first) in [
            ("containerd://3f2c", Some("IPAM")),
            ("deploy/web", Some("ask")),
            ("deployment.apps/web", Some("ask")),
            ("Sts/web", Some("ask")),
            ("300.1.1.1", Some("it")),
            ("10.65.0.0/33", Some("it")),
            ("shop/web-0", None),
            ("node-1", None),
            ("v1.2.3", None),
            ("", None),
        ] {
            assert_eq!(hint(typed), first, "{typed}");
        }
    }

    #[test]
    fn a_part_of_a_containers_id_is_told_by_its_form() {
        let part = |typed: &str| Word::of(typed).container();
        assert_eq!(part("3F2C9a01d7e4b").as_deref(), Some("3f2c9a01d7e4b"));
        assert_eq!(part("container/3f2c9a01d7e4").as_deref(), Some("3f2c9a01d7e4"));
        for other in ["3f2c9a01d7e", "3f2c9a01d7eg", &"3f".repeat(32), "shop/3f2c9a01d7e4", ""] {
            assert_eq!(part(other), None, "{other}");
        }
    }
}
