//! The commands that tell whether a node's runtime still has a sandbox of what is to go. They print nothing when none is
//! left, and are typed on that node.
//!
//! Kubernetes says that the pod is gone; a runtime that was cut off may think otherwise.

use super::{Draft, shell};
use crate::checks::World;
use crate::model::{Endpoint, Evidence, Finding, Foreign};

/// How an advice begins that asks for them; behind it the node, a comma, and what is done then.
pub const WHEN_NONE: &str = "when no sandbox of it is left on ";
/// The fact that holds them.
const FACT: &str = "sandboxes";

/// Looks for the sandbox of this id.
pub fn of_container(id: &str) -> String {
    format!("crictl pods --state ready --quiet --id {id}")
}

/// Looks for any sandbox of a pod, by its name.
pub fn of_pod(namespace: &str, name: &str) -> String {
    let (namespace, name) = (shell(&exactly(namespace)), shell(&exactly(name)));
    format!("crictl pods --state ready --quiet --namespace {namespace} --name {name}")
}

/// The regular expression of this name alone: crictl takes both, of a namespace too, and finds what only contains it.
fn exactly(name: &str) -> String {
    let means = |c: char| c.is_ascii_punctuation() && !matches!(c, '-' | '_');
    let escaped = name.chars().flat_map(|c| means(c).then_some('\\').into_iter().chain([c]));
    format!("^{}$", escaped.collect::<String>())
}

/// Whether this is the id of a container: 64 hexadecimal digits, which no shell takes for anything else.
pub fn is_container(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl Draft<'_> {
    /// The nodes (by Kubernetes' name) that must have no sandbox of these endpoints any more, with the commands that tell.
    pub fn no_sandbox_of<'e>(self, world: &World<'_>, endpoints: impl IntoIterator<Item = &'e Endpoint>) -> Self {
        self.list(FACT, endpoints, |endpoint| {
            let container = world.text(endpoint.container);
            let command = match is_container(container) {
                true => of_container(container),
                false => of_pod(world.text(endpoint.namespace), world.text(endpoint.pod)),
            };
            let node = world.text(world.ledger.scope.kubernetes_name(endpoint.node));
            Evidence::new().with("node", node).with("command", command)
        })
    }
}

/// Each node and command of a finding.
pub fn told(finding: &Finding) -> impl Iterator<Item = (&Foreign, &Foreign)> {
    finding.evidence.entries(FACT).filter_map(|entry| Some((entry.text("node")?, entry.text("command")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_what_no_shell_reads_otherwise() {
        assert!(is_container(&"0a".repeat(32)));
        for other in ["web-0", "", &format!("{}$", "0a".repeat(31)), &"0A".repeat(32)] {
            assert!(!is_container(other), "{other}");
        }
        assert_eq!(
            of_pod("shop", "web.0"),
            r"crictl pods --state ready --quiet --namespace '^shop$' --name '^web\.0$'"
        );
    }
}
