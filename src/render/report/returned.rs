//! What releases gave back since the last audit, counted as things: a release is of addresses and handles, whatever is found of
//! each and whatever explains that.

use std::collections::{BTreeSet, HashSet};

use super::ClusterReport;
use super::first::Telling;
use crate::model::{Foreign, SubjectKind};
use crate::render::number::{grouped, plural};

/// So many releases are named.
const RELEASES: usize = 4;

/// `9 addresses and 1 orphaned handle were given back (releases 1 and 2).` `None`: nothing that this report is about.
pub fn returned(cluster: &ClusterReport, telling: &Telling<'_>) -> Option<String> {
    let taken = &cluster.release.given_back;
    let told: HashSet<&Foreign> = cluster.given_back().map(|line| &line.finding.subject).collect();
    let of = |kind: SubjectKind| {
        let things = taken.subjects.iter().filter(move |((of, _), _)| *of == kind.word());
        things.filter(|((_, subject), _)| !cluster.narrowed || told.contains(subject))
    };
    let addresses: Vec<_> = of(SubjectKind::Address).collect();
    let handles: Vec<_> = of(SubjectKind::Handle).filter(|((_, id), _)| taken.orphans.contains(id)).collect();
    let says: Vec<String> = [(&addresses, "address", "addresses"), (&handles, "orphaned handle", "orphaned handles")]
        .into_iter()
        .filter(|(things, ..)| !things.is_empty())
        .map(|(things, one, many)| plural(things.len() as u64, one, many))
        .collect();
    let all = [addresses, handles].concat();
    let (&((_, subject), _), number) = (all.first()?, all.len());
    let by: BTreeSet<i64> = all.iter().map(|(_, release)| **release).collect();
    Some(match number {
        1 => format!("{} was given back ({}): {}.", says.join(""), releases(&by), (telling.foreign)(subject)),
        _ => format!("{} were given back ({}).", says.join(" and "), releases(&by)),
    })
}

/// `release 3`, `releases 1, 2 and 5`.
fn releases(numbers: &BTreeSet<i64>) -> String {
    let mut named: Vec<String> = numbers.iter().take(RELEASES).map(ToString::to_string).collect();
    match numbers.len().saturating_sub(RELEASES) {
        0 => {}
        more => named.push(format!("{} more", grouped(more as u64))),
    }
    match named.split_last() {
        Some((last, [])) => format!("release {last}"),
        Some((last, before)) => format!("releases {} and {last}", before.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{line, report, telling};
    use super::*;
    use crate::model::{Code, Root, Severity};

    fn given_back(things: &[(&'static str, &str, i64)]) -> ClusterReport {
        let mut cluster = report().clusters.remove(0);
        let taken = &mut cluster.release.given_back;
        taken.subjects = things.iter().map(|(kind, subject, by)| ((*kind, (*subject).into()), *by)).collect();
        taken.orphans = things.iter().filter(|(kind, ..)| *kind == "handle").map(|(_, id, _)| (*id).into()).collect();
        cluster
    }

    fn says(cluster: &ClusterReport) -> Option<String> {
        returned(cluster, &telling())
    }

    #[test]
    fn things_are_counted_with_their_releases() {
        assert_eq!(says(&given_back(&[])), None);
        let one = given_back(&[("address", "10.0.0.9", 3)]);
        assert_eq!(says(&one).unwrap(), "1 address was given back (release 3): 10.0.0.9.");
        let addresses: Vec<String> = (0..9).map(|i| format!("10.0.0.{i}")).collect();
        let mut things: Vec<_> = addresses.iter().map(|a| ("address", a.as_str(), 1)).collect();
        things[8].2 = 2;
        assert_eq!(says(&given_back(&things)).unwrap(), "9 addresses were given back (releases 1 and 2).");
        things.push(("handle", "net.a", 5));
        let wanted = "9 addresses and 1 orphaned handle were given back (releases 1, 2 and 5).";
        assert_eq!(says(&given_back(&things)).unwrap(), wanted);
        let mut handles = given_back(&things);
        handles.release.given_back.orphans.clear();
        assert!(!says(&handles).unwrap().contains("handle"), "it went with its addresses");
        let many = things.iter_mut().zip(1..).map(|(thing, by)| (thing.0, thing.1, by)).collect::<Vec<_>>();
        assert!(says(&given_back(&many)).unwrap().ends_with(" (releases 1, 2, 3, 4 and 6 more)."));
    }

    /// Of a node, a code or a severity only what belongs there is told; what explains it hides none of it.
    #[test]
    fn a_part_tells_its_own_and_a_fold_hides_nothing() {
        let mut cluster = given_back(&[("address", "10.0.0.9", 1), ("address", "10.1.1.1", 2)]);
        assert_eq!(says(&cluster).unwrap(), "2 addresses were given back (releases 1 and 2).");
        cluster.narrowed = true;
        assert_eq!(says(&cluster).unwrap(), "1 address was given back (release 1): 10.0.0.9.");
        for line in &mut cluster.new {
            line.finding.root = Some(Root { code: Code(501), id: "shop/x".into() });
        }
        cluster.ongoing.push(line(501, Severity::Error, "shop/x"));
        assert_eq!(says(&cluster).unwrap(), "1 address was given back (release 1): 10.0.0.9.");
        cluster.new.clear();
        assert_eq!(says(&cluster), None);
    }
}
