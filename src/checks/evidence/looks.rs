//! Which commands of a finding only look, and which are to be typed only when something is so.

use crate::model::{Finding, Foreign};

/// Whether a command only shows something.
pub fn only_looks(command: &str) -> bool {
    let mut words = command.split(' ');
    let (program, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match program {
        "ipaudit" => matches!(verb, "who" | "audit" | "node" | "explain"),
        "etcdctl" => verb == "get",
        "calicoctl" => {
            verb == "get" || command.starts_with("calicoctl ipam show") || command.starts_with("calicoctl ipam check")
        }
        "kubectl" => !command.contains(" delete "),
        _ => false,
    }
}

/// How an advice begins that is to be followed only when something is so.
const CONDITION: &str = "when ";

/// Whether this command of the finding repairs, and its advice says first when that is to be done: it stands beside that
/// condition, and in no list of what to type next.
pub fn has_condition(finding: &Finding, command: &Foreign) -> bool {
    finding.advice.raw().starts_with(CONDITION) && !only_looks(command.raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_repairs_nothing() {
        for (command, looks) in [
            ("ipaudit who 10.0.0.1", true),
            ("ipaudit audit --code IPA110 --all", true),
            ("ipaudit node --node worker-1 --all", true),
            ("etcdctl get /calico/x", true),
            ("kubectl get nodes -o wide", true),
            ("calicoctl ipam show --show-blocks", true),
            ("calicoctl get nodes -o wide", true),
            ("kubectl -n shop delete pod web-0", false),
            ("kubectl delete pods --all-namespaces -l k8s-app=calico-node", false),
            ("ipaudit release --handle x", false),
            ("calicoctl datastore migrate unlock", false),
            ("printf '' | etcdctl txn", false),
        ] {
            assert_eq!(only_looks(command), looks, "{command}");
        }
    }
}
