//! The name of a workload endpoint: `<node>-<orchestrator>-<workload>-<endpoint>`, dashes inside a part doubled.
//!
//! Domain facts, section 5. No part begins or ends with a dash (Calico refuses such parts), and only then the
//! doubling can be undone.

/// The parts of an endpoint's name, dashes single again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointName {
    /// The Calico name of the node.
    pub node: String,
    /// `k8s`, `cni`, `libnetwork`, `openstack`, …
    pub orchestrator: String,
    /// The pod of `k8s`, the container of `cni`, the workload of others.
    pub workload: String,
    /// The interface inside, mostly `eth0`.
    pub endpoint: String,
}

/// The name of a Kubernetes pod's endpoint on a node.
pub fn endpoint_name(node: &str, pod: &str, endpoint: &str) -> String {
    let double = |part: &str| part.replace('-', "--");
    format!("{}-k8s-{}-{}", double(node), double(pod), double(endpoint))
}

/// The four parts of `name`; `None` when it has not exactly four, or an empty one.
pub fn parse_endpoint_name(name: &str) -> Option<EndpointName> {
    let mut parts = split(name).into_iter();
    let parsed = EndpointName {
        node: parts.next()?,
        orchestrator: parts.next()?,
        workload: parts.next()?,
        endpoint: parts.next()?,
    };
    parts.next().is_none().then_some(parsed)
}

/// The parts between single dashes; nothing when one of them is empty. Of three dashes in a row the first two
/// are a doubled one, as in Calico's own parser.
fn split(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let part = match c {
            '-' if chars.next_if_eq(&'-').is_none() => {
                parts.push(String::new());
                continue;
            }
            _ => parts.last_mut(),
        };
        if let Some(part) = part {
            part.push(c);
        }
    }
    if parts.iter().any(String::is_empty) { Vec::new() } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(name: &str) -> Option<(String, String, String, String)> {
        parse_endpoint_name(name).map(|n| (n.node, n.orchestrator, n.workload, n.endpoint))
    }

    fn four(a: &str, b: &str, c: &str, d: &str) -> Option<(String, String, String, String)> {
        Some((a.into(), b.into(), c.into(), d.into()))
    }

    #[test]
    fn dashes_inside_a_part_are_doubled() {
        assert_eq!(endpoint_name("node-1", "my-pod-1", "eth0"), "node--1-k8s-my--pod--1-eth0");
        assert_eq!(parts("node--1-k8s-my--pod--1-eth0"), four("node-1", "k8s", "my-pod-1", "eth0"));
        assert_eq!(parts("a-libnetwork-libnetwork-ep"), four("a", "libnetwork", "libnetwork", "ep"));
        // A part that ends in a dash cannot be told from one that begins with one; Calico writes neither.
        assert_eq!(parts("a---k8s-pod-eth0"), four("a-", "k8s", "pod", "eth0"));
    }

    #[test]
    fn other_shapes_are_no_name() {
        for name in ["", "a", "a-k8s-pod", "a-k8s-pod-eth0-x", "-k8s-pod-eth0", "a-k8s-pod-", "node--1--k8s--pod--eth0"]
        {
            assert_eq!(parse_endpoint_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(
            node in "[a-z0-9.]([a-z0-9.-]{0,12}[a-z0-9.])?",
            pod in "[a-zä0-9.]([a-z0-9.-]{0,12}[a-z0-9.])?",
            endpoint in "[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?",
        ) {
            let name = endpoint_name(&node, &pod, &endpoint);
            prop_assert_eq!(parts(&name), four(&node, "k8s", &pod, &endpoint));
        }

        #[test]
        fn no_text_panics(name in "\\PC{0,40}|[-a]{0,20}") {
            let _ = parse_endpoint_name(&name);
        }
    }
}
