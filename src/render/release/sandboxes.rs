//! A plan's last advice before it is done: look whether the runtime of each node still has a sandbox of what goes.
//!
//! Kubernetes says that the pod is gone, and so does the proof; a runtime that was cut off may think otherwise.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::checks::evidence::sandbox;
use crate::model::Foreign;
use crate::plan::circumstances::{SandboxLeft, SandboxName};
use crate::plan::confirm::Plan;

/// Without `--all`: commands of so many nodes.
const NODES: usize = 3;

/// The sandboxes that must be gone from the nodes that run, by Kubernetes' name of the node.
#[derive(Debug, Default)]
pub(super) struct Sandboxes {
    nodes: BTreeMap<String, OnNode>,
}

#[derive(Debug, Default)]
struct OnNode {
    /// Ids of sandboxes.
    containers: Vec<String>,
    /// Namespace and name, of handles that name no container.
    pods: Vec<(String, String)>,
}

impl Sandboxes {
    /// Of everything that a plan releases. A node that is gone, or off by the operator's word, runs nothing.
    pub(super) fn of(plan: &Plan) -> Sandboxes {
        let mut all = Sandboxes::default();
        for step in &plan.steps {
            for SandboxLeft { node, called } in &step.sandboxes {
                let on = all.nodes.entry(node.clone()).or_default();
                match called {
                    SandboxName::Container(id) if on.containers.last().is_none_or(|last| last != id) => {
                        on.containers.push(id.clone());
                    }
                    SandboxName::Container(_) => {}
                    SandboxName::Pod(namespace, name) => on.pods.push((namespace.clone(), name.clone())),
                }
            }
        }
        for on in all.nodes.values_mut() {
            on.pods.sort();
            on.pods.dedup();
        }
        all
    }

    /// For people; nothing where nothing runs.
    ///
    /// # Errors
    /// As the writer's.
    pub(super) fn write(&self, all: bool, out: &mut dyn Write) -> io::Result<()> {
        let nodes = self.nodes.len();
        if nodes == 0 {
            return Ok(());
        }
        let on = if nodes == 1 { "its node".to_owned() } else { format!("{nodes} nodes") };
        writeln!(out, "make sure that no sandbox is left: on {on} these commands must print nothing")?;
        let limit = if all { usize::MAX } else { NODES };
        for (node, on) in self.nodes.iter().take(limit) {
            writeln!(out, "  on {}:", Foreign::from(node.as_str()).shown())?;
            for command in on.commands() {
                writeln!(out, "    {}", Foreign::from(command).shown())?;
            }
        }
        match nodes.saturating_sub(limit) {
            0 => Ok(()),
            more => writeln!(out, "  … {more} more nodes; --all shows their commands"),
        }
    }

    /// For programs, all of them.
    pub(super) fn document(&self) -> Vec<Value> {
        self.nodes.iter().map(|(node, on)| json!({"node": node, "commands": on.commands()})).collect()
    }
}

impl OnNode {
    fn commands(&self) -> Vec<String> {
        let of_pod = |(namespace, name): &(String, String)| sandbox::of_pod(namespace, name);
        let containers: Vec<&str> = self.containers.iter().map(String::as_str).collect();
        sandbox::of_containers(&containers).into_iter().chain(self.pods.iter().map(of_pod)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sandboxes: &Sandboxes, all: bool) -> Vec<String> {
        let mut out = Vec::new();
        sandboxes.write(all, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn on(containers: &[&str], pods: &[(&str, &str)]) -> OnNode {
        let own = |text: &&str| (*text).to_owned();
        let pods = pods.iter().map(|(namespace, pod)| (own(namespace), own(pod)));
        OnNode { containers: containers.iter().map(own).collect(), pods: pods.collect() }
    }

    #[test]
    fn each_node_has_its_commands_once() {
        assert!(written(&Sandboxes::default(), false).is_empty());
        let nodes = [("node-1".to_owned(), on(&["aa", "bb"], &[("shop", "web.0")]))].into();
        let lines = written(&Sandboxes { nodes }, false);
        let wanted = [
            "make sure that no sandbox is left: on its node these commands must print nothing",
            "  on node-1:",
            "    for id in aa bb; do crictl pods --state ready --quiet --id $id; done",
            r"    crictl pods --state ready --quiet --namespace '^shop$' --name '^web\.0$'",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn many_nodes_are_counted_and_all_are_shown_with_all() {
        let nodes: BTreeMap<String, OnNode> = (1..=5).map(|i| (format!("node-{i}"), on(&["aa"], &[]))).collect();
        let sandboxes = Sandboxes { nodes };
        let lines = written(&sandboxes, false);
        assert!(lines[0].contains(": on 5 nodes "), "{lines:?}");
        assert_eq!((lines.len(), lines[2].as_str()), (8, "    crictl pods --state ready --quiet --id aa"));
        assert_eq!(lines[7], "  … 2 more nodes; --all shows their commands");
        assert_eq!((written(&sandboxes, true).len(), sandboxes.document().len()), (11, 5));
    }
}
