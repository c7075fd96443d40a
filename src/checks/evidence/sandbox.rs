//! The commands that tell whether a node's runtime still has a sandbox of what is to go. They print nothing when none is
//! left, and are typed on that node.
//!
//! Kubernetes says that the pod is gone; a runtime that was cut off may think otherwise. Nobody can type anything on a
//! machine that is off, and one whose node is gone or not Ready may run all the same: there it is asked for first.

use super::{Draft, shell};
use crate::checks::World;
use crate::model::foreign::foreign;
use crate::model::{Endpoint, Evidence, Finding, Foreign, Input, MachineNow, Name};

/// How an advice begins that asks for them; behind it the node, a comma, and what is done then.
pub const WHEN_NONE: &str = "when no sandbox of it is left on ";
/// The fact that holds them.
const FACT: &str = "sandboxes";

/// How a command begins that looks for the sandbox of an id.
const OF_CONTAINER: &str = "crictl pods --state ready --quiet --id ";
/// So many sandboxes are looked for by one line.
const TOGETHER: usize = 8;

/// Looks for the sandbox of this id.
pub fn of_container(id: &str) -> String {
    format!("{OF_CONTAINER}{id}")
}

/// The same of several ids; `None` of none.
pub fn of_containers(ids: &[&str]) -> Option<String> {
    match ids {
        [] => None,
        [one] => Some(of_container(one)),
        many => Some(format!("for id in {}; do {}; done", many.join(" "), of_container("$id"))),
    }
}

/// The commands of one node, those that look for an id put together; each with how many sandboxes it looks for.
pub fn together<'c>(commands: impl IntoIterator<Item = &'c Foreign>) -> Vec<(Foreign, usize)> {
    let (mut ids, mut others) = (Vec::new(), Vec::new());
    for command in commands {
        match command.raw().strip_prefix(OF_CONTAINER).filter(|id| is_container(id)) {
            Some(id) => ids.push(id),
            None => others.push((command.clone(), 1)),
        }
    }
    let of_ids = ids.chunks(TOGETHER).filter_map(|ids| Some((of_containers(ids)?.into(), ids.len())));
    of_ids.chain(others).collect()
}

/// The line above a node's commands: where they are typed, and what they must print. `these`: the commands.
pub fn where_to_look(node: &Foreign, machine: MachineNow, these: &str) -> Foreign {
    let how = match machine {
        MachineNow::Runs => return foreign!("on {} {} must print nothing", node, these),
        MachineNow::NotReady => "not Ready",
        MachineNow::Gone => "gone from Kubernetes",
    };
    let off = "ask whether the machine is off; if it still runs, log on to it";
    foreign!("{} is {}: {}, where {} must print nothing", node, how, off, these)
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
            let node = world.ledger.scope.kubernetes_name(endpoint.node);
            let entry = Evidence::new().with("node", world.text(node)).with("command", command);
            match machine(world, node) {
                MachineNow::Runs => entry,
                other => entry.with("machine", other.word()),
            }
        })
    }
}

/// What Kubernetes says of a node, by its own name of it.
fn machine(world: &World<'_>, node: Name) -> MachineNow {
    match world.ledger.kube_node(node) {
        _ if !world.snapshot.coverage.complete(Input::KubeNodes) => MachineNow::Runs,
        Some(node) if node.ready == Some(true) => MachineNow::Runs,
        Some(_) => MachineNow::NotReady,
        None => MachineNow::Gone,
    }
}

/// Each node and command of a finding, and what Kubernetes says of the machine.
pub fn told(finding: &Finding) -> impl Iterator<Item = (&Foreign, MachineNow, &Foreign)> {
    finding.evidence.entries(FACT).filter_map(|entry| {
        let said = entry.text("machine").map_or("", Foreign::raw);
        let machine = MachineNow::ALL.into_iter().find(|machine| machine.word() == said).unwrap_or(MachineNow::Runs);
        Some((entry.text("node")?, machine, entry.text("command")?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    #[test]
    fn the_sandboxes_of_a_node_are_looked_for_at_once() {
        let id = |number: usize| format!("{number:064x}");
        let commands: Vec<Foreign> = (0..9).map(|i| of_container(&id(i)).into()).collect();
        let of_name: Foreign = of_pod("shop", "web-0").into();
        assert_eq!(together(&commands[..1]), [(commands[0].clone(), 1)]);
        let merged = together(commands.iter().chain([&of_name]));
        assert_eq!(merged.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [8, 1, 1]);
        let both = format!("for id in {} {}; do crictl pods --state ready --quiet --id $id; done", id(0), id(1));
        assert_eq!(together(&commands[..2]), [(both.into(), 2)]);
    }

    /// Nobody types anything on a machine that is off.
    #[test]
    fn whether_the_machine_is_off_is_asked_first_where_its_node_is_gone_or_not_ready() {
        let says = |c: &mut Cluster| {
            let found = c.find(&crate::checks::endpoints::stale_endpoint::CHECK);
            let told: Vec<_> = told(&found[0]).collect();
            let [(node, machine, _)] = told[..] else { panic!("{told:?}") };
            where_to_look(node, machine, "this").raw().to_owned()
        };
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        assert_eq!(says(&mut c), "on node-1 this must print nothing");
        let node_1 = c.name("node-1");
        c.snapshot.kube_nodes.iter_mut().filter(|n| n.name == node_1).for_each(|n| n.ready = Some(false));
        let asks = "ask whether the machine is off; if it still runs, log on to it, where this must print nothing";
        assert_eq!(says(&mut c), format!("node-1 is not Ready: {asks}"));
        c.remove_kube_node("node-1");
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert_eq!(says(&mut c), format!("node-1 is gone from Kubernetes: {asks}"));
    }

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
