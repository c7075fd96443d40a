//! What gives back what is open: leaks as leaks, whatever explains them, and many orphaned handles by one command.
//!
//! Nothing is advised of which the history knows that it would be refused ([`super::release_facts`]). What else a release
//! asks, only the cluster can tell: it looks again itself.

use super::release_facts::known_for;
use super::{ClusterReport, ReportView};
use crate::checks::{self, Check};
use crate::model::Foreign;
use crate::model::row::Episode;
use crate::render::number::{grouped, plural};
use crate::render::releases::{older_than, release_by_code};

/// As many leaks that are new at once may be a sudden mass leak: whether they are too many of a node's or a pool's, nobody
/// asks here.
const AT_ONCE: usize = 20;

/// One repair of a report that ends now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    /// `10 leaked addresses are open: a release looks again itself, and leaves what it cannot prove.`
    pub says: String,
    pub command: Foreign,
}

/// What can be released of what is open, a code each.
pub fn repairs(cluster: &ClusterReport, view: &ReportView) -> Vec<Repair> {
    // Of what was so once, or that nobody could look at, nothing is to be released.
    if view.until < view.now || cluster.blind().is_some() {
        return Vec::new();
    }
    checks::ALL.iter().filter_map(|check| repair(check, cluster, view)).collect()
}

fn repair(check: &Check, cluster: &ClusterReport, view: &ReportView) -> Option<Repair> {
    let ties = Some(check.ties).filter(|ties| ties.releasable)?;
    let is_taken = |line: &&Episode| line.finding.code == check.code && !cluster.of_others.contains(&line.id);
    let (alone, open): (Vec<&Episode>, Vec<&Episode>) =
        cluster.open().filter(is_taken).partition(|line| line.finding.is_of_recurring_handle());
    let why_not = |line: &Episode| cluster.release.held_back.get(&line.id).copied();
    let old = open.iter().filter_map(|line| known_for(line, &cluster.release).map(|known| (known, why_not(line))));
    let (held_back, known): (Vec<_>, Vec<_>) = old.partition(|(_, why)| why.is_some());
    let longest = known.iter().map(|(known_for, _)| *known_for).max();
    let why = held_back.iter().filter_map(|(_, why)| *why).min();
    let (one, many) = if ties.proves_leak {
        ("leaked address is", "leaked addresses are")
    } else {
        ("orphaned handle is", "orphaned handles are")
    };
    let explained = open.iter().filter(|line| line.finding.root.is_some()).count();
    let number = open.len();
    let which = match explained {
        0 => String::new(),
        all if all == number => " (told with what explains them)".to_owned(),
        some => format!(" ({some} of them told with what explains them)"),
    };
    let open = plural(number as u64, one, many);
    let mut rest = String::new();
    if !alone.is_empty() {
        let go = if alone.len() == 1 { "goes by itself only" } else { "go each by itself only" };
        rest.push_str(&format!("; {} more {go}", grouped(alone.len() as u64)));
    }
    let (says, mut command) = match (obstacle(cluster), longest, why) {
        (_, None, None) => return None,
        (None, None, Some(why)) => (
            format!(
                "{open} open{which}{rest}: no release of many takes any of them now ({}); an audit says what else can be done.",
                why.says()
            ),
            format!("ipaudit audit --code {}", check.code),
        ),
        (Some(why), ..) => (
            format!(
                "{open} open{which}{rest}: no release of many is let through now ({why}); an audit says what else can be done."
            ),
            format!("ipaudit audit --code {}", check.code),
        ),
        (None, Some(longest), _) => {
            let some = match known.len() {
                all if all == number => String::new(),
                some => format!("; {some} of them audits have seen long enough"),
            };
            let some = match (held_back.len(), why) {
                (0, _) | (_, None) => some,
                (1, Some(why)) => format!("{some}, and 1 more that stays ({})", why.says()),
                (number, Some(why)) => {
                    format!("{some}, and {} more that stay ({})", grouped(number as u64), why.says())
                }
            };
            (
                format!(
                    "{open} open{which}{some}{rest}: this release looks again itself, and leaves what it cannot prove."
                ),
                release_by_code(check.code, older_than(longest)),
            )
        }
    };
    let is_place = |flag: &&String| ["--node ", "--namespace ", "--pool "].iter().any(|place| flag.starts_with(place));
    for flag in view.narrowed_by.iter().filter(is_place).chain(&view.db) {
        command.push(' ');
        command.push_str(flag);
    }
    Some(Repair { says, command: command.into() })
}

/// Why no release of many would be let through; `None`: nothing that is known speaks against it.
fn obstacle(cluster: &ClusterReport) -> Option<String> {
    let facts = &cluster.release;
    let last = facts.audits.last();
    if cluster.incomplete.last().is_some_and(|incomplete| last.is_some_and(|last| incomplete.id == last.audit)) {
        return Some("the last audit could not read everything".to_owned());
    }
    if let Some(code) = facts.closed_by.first() {
        return Some(format!("{code} {} is open", checks::name(*code)));
    }
    if facts.leads_nowhere {
        return Some("an allocation leads nowhere".to_owned());
    }
    if facts.wrong_clock {
        return Some("at the last audit the clocks were apart".to_owned());
    }
    if last.is_some_and(|last| facts.restored == Some(last.audit)) {
        return Some("etcd went back to an older state, and no audit has looked since".to_owned());
    }
    let is_leak = |line: &&Episode| checks::is_leak_told(&line.finding);
    let is_new = |line: &&Episode| last.is_some_and(|last| line.opened.audit == last.audit);
    let new = cluster.open().filter(is_leak).filter(is_new).count();
    (new > AT_ONCE).then(|| format!("{new} leaks are new since the last audit but one"))
}

#[cfg(test)]
mod tests {
    use super::super::IncompleteAudit;
    use super::super::release_facts::HeldBack;
    use super::super::testing::{at, line, report, seen};
    use super::*;
    use crate::model::{Code, Observation, Root, Severity};

    /// Leaks that another finding explains are leaks, and what gives them back is said.
    #[test]
    fn leaks_are_named_with_their_release_whatever_explains_them() {
        let mut view = report();
        view.until = view.now;
        view.clusters[0].new.clear();
        view.clusters[0].came_back.clear();
        let mut folded = line(110, Severity::Error, "10.0.0.9");
        folded.finding.root = Some(Root { code: Code(501), id: "shop/x".into() });
        view.clusters[0].ongoing = vec![folded.clone(), line(501, Severity::Error, "shop/x")];
        let told = |view: &ReportView| repairs(&view.clusters[0], view);
        let says = "1 leaked address is open (told with what explains them): this release looks again itself, and leaves what it \
                    cannot prove.";
        assert_eq!(
            told(&view),
            [Repair { says: says.to_owned(), command: "ipaudit release --code IPA110 --older-than 1h".into() }]
        );
        view.narrowed_by = vec!["--node node-1".to_owned(), "--code IPA501".to_owned()];
        view.db = Some("--db 'a b'".to_owned());
        let command = "ipaudit release --code IPA110 --older-than 1h --node node-1 --db 'a b'";
        assert_eq!(told(&view)[0].command, command);
        // Two audits are too few, and a report of yesterday repairs nothing.
        let observed = std::mem::take(&mut view.clusters[0].release.observed);
        view.clusters[0].release.observed = [(1, Observation { audits: 2, ..observed[&1] })].into();
        assert!(told(&view).is_empty());
        view.clusters[0].release.observed = observed;
        view.clusters[0].ongoing[0] = folded;
        view.until = seen(5).at;
        view.now = seen(9).at;
        assert!(told(&view).is_empty());
    }

    #[test]
    fn many_orphaned_handles_are_one_release() {
        let mut view = report();
        view.until = view.now;
        view.clusters[0].new = (0..60).map(|i| line(201, Severity::Warning, &format!("net.{i}"))).collect();
        view.clusters[0].came_back.clear();
        let told = repairs(&view.clusters[0], &view);
        assert_eq!((told.len(), told[0].command.raw()), (1, "ipaudit release --code IPA201 --older-than 1h"));
        assert!(told[0].says.starts_with("60 orphaned handles are open: "), "{told:?}");
    }

    /// One second after a release the rows are still open: what it gave back is not counted again, nor what no release of many
    /// takes.
    #[test]
    fn what_is_given_back_or_goes_alone_is_not_counted() {
        let mut view = report();
        view.until = view.now;
        let digits = "0123456789abcdef".repeat(4);
        let handle = |id: i64, subject: String| {
            let mut handle = line(201, Severity::Warning, &subject);
            (handle.id, handle.finding.kind) = (id, crate::model::SubjectKind::Handle.into());
            handle
        };
        let of_container = |i: i64| handle(i, format!("net{i}.{digits}"));
        let cluster = &mut view.clusters[0];
        cluster.came_back.clear();
        cluster.new = (0..6).map(of_container).chain([handle(6, "k8s-pod-network.vmi.shop.db".to_owned())]).collect();
        let given_back = |i| (("handle", of_container(i).finding.subject), 1);
        cluster.release.given_back.subjects = (0..5).map(given_back).collect();
        let told = |view: &ReportView| repairs(&view.clusters[0], view);
        let says = "1 orphaned handle is open; 1 more goes by itself only: ";
        assert!(told(&view)[0].says.starts_with(says), "{:?}", told(&view));
        // Nothing is left that a release of many would take.
        view.clusters[0].release.given_back.subjects = (0..6).map(given_back).collect();
        assert!(told(&view).is_empty(), "{:?}", told(&view));
        // What another place owns, no release of this one takes; and nothing of a node that is not Ready goes.
        view.clusters[0].release.given_back.subjects.clear();
        view.clusters[0].of_others = (0..4).collect();
        assert!(told(&view)[0].says.starts_with("2 orphaned handles are open; 1 more goes by itself only: "));
        view.clusters[0].release.held_back = [(4, HeldBack::NotReady)].into();
        assert!(
            told(&view)[0].says.contains(
                " are open; 1 of them audits have seen long enough, and 1 more that stays (its node is not Ready); "
            ),
            "{:?}",
            told(&view)
        );
    }

    /// What the history knows to be refused is advised by nobody, and an audit is.
    #[test]
    fn no_release_is_advised_that_would_be_refused() {
        let mut view = report();
        view.until = view.now;
        let told = |view: &ReportView| repairs(&view.clusters[0], view).swap_remove(0);
        assert_eq!(told(&view).command, "ipaudit release --code IPA110 --older-than 1h");
        view.narrowed_by = vec!["--node node-1".to_owned()];
        let says = |view: &ReportView, why: &str| {
            let told = told(view);
            assert_eq!(told.command, "ipaudit audit --code IPA110 --node node-1");
            let words = format!("2 leaked addresses are open: no release of many is let through now ({why}); an audit");
            assert!(told.says.starts_with(&words), "{}", told.says);
        };
        let with = |change: &dyn Fn(&mut ClusterReport)| {
            let mut view = view.clone();
            change(&mut view.clusters[0]);
            view
        };
        says(&with(&|c| c.release.closed_by = vec![Code(905)]), "IPA905 kubernetes-mismatch is open");
        let unread = IncompleteAudit { id: 10, at: at(10), why: "pods: forbidden".into() };
        says(&with(&|c| c.incomplete = vec![unread.clone()]), "the last audit could not read everything");
        let many = |c: &mut ClusterReport| {
            c.new.extend(
                (0..21).map(|i| Episode { opened: seen(10), ..line(110, Severity::Error, &format!("10.0.1.{i}")) }),
            );
        };
        let surge = with(&many);
        assert!(told(&surge).says.contains("(21 leaks are new since the last audit but one)"), "{}", told(&surge).says);
        // What was seen while its node was silent, or before etcd went back, does not count: the rest alone is its age.
        let observed = |audits: u32, first: i64| {
            with(&|c| c.release.observed = [(1, Observation { audits, first: at(first), last: at(10) })].into())
        };
        for none in [observed(2, 1), observed(3, 10), with(&|c| c.release.observed.clear())] {
            assert!(repairs(&none.clusters[0], &none).iter().all(|repair| !repair.command.raw().contains("IPA110")));
        }
        let command = "ipaudit release --code IPA110 --older-than 1h --node node-1";
        assert_eq!(told(&observed(3, 7)).command, command);
    }
}
