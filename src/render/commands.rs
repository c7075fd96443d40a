//! What to type next: what repairs, and what only looks. Commands that do the same to several things are one.

use std::collections::{HashMap, HashSet};

use crate::model::{Finding, Foreign};

/// Commands that repair, the same ones put together, in their order. Of a finding that says to look first none: what
/// there is to do depends on what is seen.
pub fn repairs<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<String> {
    let repairs_first = |f: &&Finding| f.next.first().is_some_and(|command| !only_looks(command.raw()));
    let commands = findings.filter(repairs_first).flat_map(|f| &f.next);
    together(commands.filter(|command| !only_looks(command.raw())))
}

/// What to type for one finding: what repairs, or else what to look at first; with `all` everything.
pub fn of(finding: &Finding, all: bool) -> Vec<String> {
    let repairs = repairs(std::iter::once(finding));
    match all {
        false if !repairs.is_empty() => repairs,
        false => finding.next.first().map(|command| command.raw().to_owned()).into_iter().collect(),
        true => together(finding.next.iter()),
    }
}

/// Whether a command only shows something.
fn only_looks(command: &str) -> bool {
    let mut words = command.split(' ');
    let (program, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match program {
        "ipaudit" => matches!(verb, "who" | "audit" | "explain"),
        "etcdctl" => verb == "get",
        "calicoctl" => {
            verb == "get" || command.starts_with("calicoctl ipam show") || command.starts_with("calicoctl ipam check")
        }
        "kubectl" => !command.contains(" delete "),
        _ => false,
    }
}

/// Each command once; what differs in one name alone becomes one command with several names.
fn together<'c>(commands: impl Iterator<Item = &'c Foreign>) -> Vec<String> {
    let mut merged: Vec<(Mold<'c>, Vec<&'c str>)> = Vec::new();
    let mut places: HashMap<Mold<'c>, usize> = HashMap::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for command in commands.filter(|command| seen.insert(command.raw())) {
        let (mold, name) = Mold::of(command.raw());
        let place = *places.entry(mold).or_insert(merged.len());
        match merged.get_mut(place) {
            Some((_, names)) => names.push(name),
            None => merged.push((mold, vec![name])),
        }
    }
    merged
        .into_iter()
        .map(|(mold, names)| format!("{}{}{}", mold.before, names.join(mold.between), mold.behind))
        .collect()
}

/// A command without the name that it is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Mold<'c> {
    before: &'c str,
    behind: &'c str,
    /// What stands between two names.
    between: &'static str,
}

impl<'c> Mold<'c> {
    /// A command that takes one thing only is its own mold.
    fn of(command: &'c str) -> (Mold<'c>, &'c str) {
        const RELEASE: &str = "ipaudit release --handle ";
        const ENDPOINT: &str = "calicoctl delete workloadendpoint ";
        const POD: &str = " delete pod ";
        let split = |at: usize| command.split_at_checked(at).unwrap_or((command, ""));
        if command.starts_with("kubectl -n ")
            && let Some(at) = command.rfind(POD)
        {
            let (before, name) = split(at + POD.len());
            return (Mold { before, behind: "", between: " " }, name);
        }
        if let (Some(rest), Some(at)) = (command.strip_prefix(ENDPOINT), command.rfind(" --namespace=")) {
            let behind = split(at).1;
            let name = rest.strip_suffix(behind).unwrap_or(rest);
            return (Mold { before: ENDPOINT, behind, between: " " }, name);
        }
        if let Some(name) = command.strip_prefix(RELEASE).filter(|_| !command.contains(" --i-know")) {
            return (Mold { before: RELEASE, behind: "", between: " --handle " }, name);
        }
        (Mold { before: command, behind: "", between: "" }, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(commands: &[&str]) -> Vec<String> {
        let commands: Vec<Foreign> = commands.iter().map(|c| (*c).into()).collect();
        together(commands.iter())
    }

    #[test]
    fn what_differs_in_a_name_is_one_command() {
        let unlock = "calicoctl datastore migrate unlock";
        let commands = [
            unlock,
            "kubectl -n shop delete pod web-0",
            "kubectl -n data delete pod db-0",
            unlock,
            "kubectl -n shop delete pod web-1",
            "kubectl -n shop delete pod web-1",
            "calicoctl delete workloadendpoint a --namespace=shop",
            "calicoctl delete workloadendpoint b --namespace=shop",
            "ipaudit release --handle net.1",
            "ipaudit release --handle 'net 2'",
            "ipaudit release --handle=-x",
        ];
        let expected = [
            unlock,
            "kubectl -n shop delete pod web-0 web-1",
            "kubectl -n data delete pod db-0",
            "calicoctl delete workloadendpoint a b --namespace=shop",
            "ipaudit release --handle net.1 --handle 'net 2'",
            "ipaudit release --handle=-x",
        ];
        assert_eq!(merged(&commands), expected);
    }

    #[test]
    fn what_takes_one_thing_only_stays_alone() {
        let alone = [
            "ipaudit release --handle lb-1 --i-know-what-this-is",
            "ipaudit release --handle lb-2 --i-know-what-this-is",
        ];
        assert_eq!(merged(&alone), alone);
    }

    #[test]
    fn looking_repairs_nothing() {
        for (command, looks) in [
            ("ipaudit who 10.0.0.1", true),
            ("ipaudit audit --code IPA110 --all", true),
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
