//! Which findings a report for people tells under which heading, and which it only counts: the same for every format.
//!
//! What another finding explains is folded under it; of what has ended likewise, whether its cause has ended or not.

use std::collections::HashSet;

use super::ClusterReport;
use crate::model::row::{Ending, Episode};
use crate::model::{Code, Foreign};

/// Findings under one heading.
#[derive(Clone, Debug)]
pub struct Section<'c> {
    pub title: &'static str,
    /// What the title does not say by itself; may be empty.
    pub about: &'static str,
    /// Of one code and as bad as each other, worst first.
    pub groups: Vec<Vec<&'c Episode>>,
    /// So many more are explained by what is told.
    pub explained: usize,
    /// Whether it is over, so that nobody has to look at it.
    pub ended: bool,
}

impl Section<'_> {
    /// How many findings are told.
    pub fn told(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }
}

/// What explains other findings.
#[derive(Debug)]
pub struct Explained<'c> {
    open: HashSet<(Code, &'c Foreign)>,
    given_back: HashSet<(Code, &'c Foreign)>,
    ended: HashSet<(Code, &'c Foreign)>,
}

impl<'c> Explained<'c> {
    /// Of a cluster's report.
    pub fn of(cluster: &'c ClusterReport) -> Explained<'c> {
        let name = |line: &'c Episode| (line.finding.code, &line.finding.subject);
        Explained {
            open: cluster.open().map(name).collect(),
            given_back: cluster.given_back().map(name).collect(),
            ended: cluster.ended.iter().map(name).collect(),
        }
    }

    /// Whether another finding explains this one; nothing hides what is worse than its root, so the checks see to it that
    /// a root is never milder. What is open is not explained by what is over (an undo puts the address back, and not its endpoint),
    /// and what we released stands for itself.
    pub fn by_another(&self, line: &Episode) -> bool {
        if matches!(line.ending, Ending::Released(_)) {
            return false;
        }
        let is_given_back = self.given_back.contains(&(line.finding.code, &line.finding.subject));
        let is_over = is_given_back || line.ended.is_some();
        line.finding.root.as_ref().is_some_and(|root| {
            let root = (root.code, &root.id);
            self.open.contains(&root)
                || is_over && self.given_back.contains(&root)
                || line.ended.is_some() && self.ended.contains(&root)
        })
    }
}

/// The headings of a report, what needs eyes first, without empty ones. `all`: what is explained is told too.
pub fn sections<'c>(cluster: &'c ClusterReport, all: bool) -> Vec<Section<'c>> {
    let explained = Explained::of(cluster);
    let first = |line: &&Episode| cluster.is_found_at_first(line);
    let open = |line: &&Episode| !cluster.release.is_given_back(line);
    let of = |title, about, lines: Vec<&'c Episode>| Section::of(title, about, lines, &explained, all);
    let sections: [Section<'_>; 7] = [
        of("NEW", "", cluster.new.iter().filter(open).filter(|line| !first(line)).collect()),
        of("CAME BACK", "", cluster.came_back.iter().filter(open).collect()),
        of(
            "FOUND AT FIRST",
            "the first audit that could look found it: nobody knows since when",
            cluster.new.iter().filter(open).filter(first).collect(),
        ),
        of(
            "NOT LOOKED AT",
            "an input of the last audit was missing, so it counts as open",
            cluster.not_looked_at.iter().filter(open).collect(),
        ),
        of("ONGOING", "", cluster.ongoing.iter().filter(open).collect()),
        of("GIVEN BACK", "by a release since the last audit: the next one ends it", cluster.given_back().collect()),
        of("ENDED", "", cluster.ended.iter().collect()),
    ];
    sections.into_iter().filter(|section| section.explained > 0 || section.told() > 0).collect()
}

impl<'c> Section<'c> {
    fn of(
        title: &'static str,
        about: &'static str,
        lines: Vec<&'c Episode>,
        explained: &Explained<'_>,
        all: bool,
    ) -> Section<'c> {
        let number = lines.len();
        let told: Vec<&Episode> = lines.into_iter().filter(|line| all || !explained.by_another(line)).collect();
        let groups = told.chunk_by(|a, b| a.finding.is_told_with(&b.finding)).map(<[_]>::to_vec).collect();
        Section { title, about, groups, explained: number - told.len(), ended: matches!(title, "ENDED" | "GIVEN BACK") }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{line, report, seen};
    use super::*;
    use crate::model::{Root, Severity};

    fn shape(cluster: &ClusterReport) -> Vec<(&'static str, usize, usize)> {
        sections(cluster, false).iter().map(|s| (s.title, s.told(), s.explained)).collect()
    }

    #[test]
    fn what_ended_is_folded_under_what_explained_it() {
        let mut cluster = report().clusters.remove(0);
        assert_eq!(
            shape(&cluster),
            [("NEW", 2, 0), ("CAME BACK", 1, 0), ("NOT LOOKED AT", 1, 0), ("ONGOING", 1, 1), ("ENDED", 1, 0)]
        );
        let over = |code, severity| Episode {
            ended: Some(seen(5)),
            ending: Ending::Resolved,
            ..line(code, severity, "10.0.0.8")
        };
        let mut under = over(102, Severity::Critical);
        under.finding.root = Some(Root { code: Code(101), id: "10.0.0.8".into() });
        cluster.ended = vec![over(101, Severity::Critical), under.clone()];
        assert_eq!(shape(&cluster).pop(), Some(("ENDED", 1, 1)));
        assert_eq!(sections(&cluster, true).pop().map(|s| (s.told(), s.explained)), Some((2, 0)));
        cluster.ended[1].ending = Ending::Released(Some(7));
        assert_eq!(shape(&cluster).pop(), Some(("ENDED", 2, 0)), "what we did is told");
        // It is open, and what would explain it is over: it stands for itself.
        (under.ended, under.ending) = (None, Ending::Open);
        cluster.ended.pop();
        cluster.new = vec![under];
        assert_eq!(shape(&cluster)[0], ("NEW", 1, 0));
    }

    #[test]
    fn what_the_first_audit_found_is_not_new() {
        let mut cluster = report().clusters.remove(0);
        cluster.new[1].id = 77;
        cluster.found_at_first.insert(77);
        let shape = shape(&cluster);
        assert_eq!((shape[0], shape[2]), (("NEW", 1, 0), ("FOUND AT FIRST", 1, 0)), "{shape:?}");
    }
}
