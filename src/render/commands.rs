//! What to type next: what repairs, and what only looks. Commands that do the same to several things are one.

use std::collections::{HashMap, HashSet};

use crate::checks::evidence::{is_release, only_looks, words};
use crate::model::{Code, Finding, Foreign};
use crate::render::folds::Folds;
use crate::render::narrow::Narrow;
use crate::render::view::AuditView;

/// So many names in one command at most: a line that people can read before they paste it.
const NAMES: usize = 50;

/// Commands that repair, the same ones put together, in their order. Of a finding that says to look first none: what
/// there is to do depends on what is seen. What is told with what explains a finding is not said twice.
pub fn repairs(findings: impl Iterator<Item = Finding>, folds: &Folds<'_>) -> Vec<String> {
    let repairs_first = |f: &Finding| f.next.first().is_some_and(|command| !only_looks(command.raw()));
    let commands = findings.filter(repairs_first).flat_map(|f| own(&f, folds));
    let commands: Vec<Foreign> = commands.filter(|command| !only_looks(command.raw())).collect();
    together(commands.iter())
}

/// What to type for one finding: what repairs, or else what to look at first; with `all` everything that is not told with
/// what explains it.
pub fn of(finding: &Finding, folds: &Folds<'_>, all: bool) -> Vec<String> {
    let repairs = repairs(std::iter::once(finding.clone()), folds);
    match all {
        false if !repairs.is_empty() => repairs,
        false => finding.next.first().map(|command| command.raw().to_owned()).into_iter().collect(),
        true => together(own(finding, folds).iter()),
    }
}

/// The commands of a finding without those of the one that it is told with.
fn own(finding: &Finding, folds: &Folds<'_>) -> Vec<Foreign> {
    finding.next.iter().filter(|command| !folds.is_said(finding, command)).cloned().collect()
}

/// `ipaudit audit --code IPA110 --all`, in the view that people have chosen: it shows what they were told of, no more. Of
/// several codes the first one says where it is seen.
pub fn see_all(codes: &[Code], view: &AuditView<'_>) -> String {
    let chosen = Narrow { codes: codes.to_vec(), severity: None, ..view.narrow.clone() };
    let command = format!("ipaudit audit {} --all", chosen.flags().join(" "));
    match codes.first() {
        Some(code) => view.nodes_again.see_all(*code, command),
        None => command,
    }
}

/// Whether a command only shows something.
pub fn shows_only(command: &Foreign) -> bool {
    only_looks(command.raw())
}

/// Whether a command asks once more before it writes.
pub fn asks_again(command: &Foreign) -> bool {
    is_release(command.raw())
}

/// Each command once; what differs in one name alone becomes one command with several names.
pub fn together<'c>(commands: impl Iterator<Item = &'c Foreign>) -> Vec<String> {
    let mut merged: Vec<(Mold<'c>, Vec<&'c str>)> = Vec::new();
    let mut places: HashMap<Mold<'c>, usize> = HashMap::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for command in commands.filter(|command| seen.insert(command.raw())) {
        let (mold, name) = Mold::of(command.raw());
        match places.get(&mold).and_then(|place| merged.get_mut(*place)).filter(|(_, names)| names.len() < NAMES) {
            Some((_, names)) => names.push(name),
            None => {
                places.insert(mold, merged.len());
                merged.push((mold, vec![name]));
            }
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
    /// A command that takes one thing only is its own mold. What is parted are the words of the shell, never the text: a
    /// name may hold whatever separates them. A name that could be a flag stays alone, behind its `--`.
    fn of(command: &'c str) -> (Mold<'c>, &'c str) {
        let (name, between) = match words(command).as_slice() {
            ["kubectl", "-n", _, "delete", "pod", name] => (*name, " "),
            ["calicoctl", "delete", "workloadendpoint", name, namespace] if namespace.starts_with("--namespace=") => {
                (*name, " ")
            }
            ["ipaudit", "release", "--handle", name] => (*name, " --handle "),
            _ => return (Mold { before: command, behind: "", between: "" }, ""),
        };
        // A word is a part of the command: behind it is what it does not begin with.
        let at = name.as_ptr().addr().saturating_sub(command.as_ptr().addr());
        let (before, rest) = command.split_at_checked(at).unwrap_or((command, ""));
        let behind = rest.strip_prefix(name).unwrap_or_default();
        (Mold { before, behind, between }, name)
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

    /// Names are parted by the shell's words: one that holds what separates them stays whole, and what a shell would carry
    /// out stays within its quotes.
    #[test]
    fn a_name_that_looks_like_a_command_stays_in_its_quotes() {
        let commands = [
            "kubectl -n shop delete pod 'x delete pod #a'",
            "kubectl -n shop delete pod 'x delete pod $(true)'",
            "kubectl -n shop delete pod \"$(printf 'a \" delete pod b')\"",
            r"kubectl -n shop delete pod 'it'\''s delete pod c'",
            "calicoctl delete workloadendpoint '#a' --namespace='q --namespace=z'",
            "calicoctl delete workloadendpoint '$(true)' --namespace='q --namespace=z'",
            "kubectl -n shop delete pod -- --all",
            "kubectl -n shop delete pod -- -a",
        ];
        let expected = [
            concat!(
                "kubectl -n shop delete pod 'x delete pod #a' 'x delete pod $(true)' ",
                "\"$(printf 'a \" delete pod b')\" ",
                r"'it'\''s delete pod c'"
            ),
            "calicoctl delete workloadendpoint '#a' '$(true)' --namespace='q --namespace=z'",
            "kubectl -n shop delete pod -- --all",
            "kubectl -n shop delete pod -- -a",
        ];
        assert_eq!(merged(&commands), expected);
    }

    #[test]
    fn a_line_holds_as_many_names_as_people_can_read() {
        let commands: Vec<String> = (0..120).map(|i| format!("kubectl -n shop delete pod web-{i}")).collect();
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let lines: Vec<usize> = merged(&commands).iter().map(|line| line.split(' ').count() - 5).collect();
        assert_eq!(lines, [50, 50, 20]);
    }

    #[test]
    fn what_takes_one_thing_only_stays_alone() {
        let alone = [
            "ipaudit release --handle lb-1 --i-know-what-this-is",
            "ipaudit release --handle lb-2 --i-know-what-this-is",
        ];
        assert_eq!(merged(&alone), alone);
    }
}
