//! The one order of findings: severity, code, subject in natural order (addresses as numbers).

use std::cmp::{Ordering, Reverse};

use crate::model::{Addr, Cidr, Gist, KeptFinding, SubjectKind};

/// Sorts worst first, then by code, then by subject.
pub fn sort(findings: &mut [KeptFinding]) {
    // The keys borrow the subjects' texts, so places are sorted, and the findings moved once.
    let keys = findings.iter().map(|f| (Reverse(f.severity), f.code, SortKey::of(f)));
    let mut places: Vec<_> = keys.zip(0usize..).collect();
    places.sort_unstable();
    let mut places: Vec<usize> = places.into_iter().map(|(_, place)| place).collect();
    // Places of this very list, each once.
    for to in 0..places.len() {
        let mut from = places[to];
        // What stood there has been moved on, and perhaps again.
        while from < to {
            from = places[from];
        }
        places[to] = from;
        findings.swap(to, from);
    }
}

/// Sorts by subject alone; those that are alike keep their order.
pub fn by_subject(findings: &mut [&KeptFinding]) {
    findings.sort_by_cached_key(|&finding| SortKey::of(finding));
}

#[derive(PartialEq, Eq)]
enum SortKey<'f> {
    Address(Addr),
    Block(Cidr),
    Text(&'f str),
}

impl SortKey<'_> {
    fn of(finding: &Gist) -> SortKey<'_> {
        let id = finding.subject.id.raw();
        match finding.subject.kind {
            SubjectKind::Address => id.parse().map_or(SortKey::Text(id), SortKey::Address),
            SubjectKind::Block => Cidr::parse(id).map_or(SortKey::Text(id), |(cidr, _)| SortKey::Block(cidr)),
            _ => SortKey::Text(id),
        }
    }
}

impl Ord for SortKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (SortKey::Address(a), SortKey::Address(b)) => a.cmp(b),
            (SortKey::Block(a), SortKey::Block(b)) => a.cmp(b),
            (SortKey::Text(a), SortKey::Text(b)) => natural(a, b),
            (SortKey::Address(_), _) | (SortKey::Block(_), SortKey::Text(_)) => Ordering::Less,
            (_, SortKey::Address(_)) | (SortKey::Text(_), SortKey::Block(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for SortKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares text with its runs of digits as numbers: `node-9` before `node-10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&x), Some(&y)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let ((m, rest_m), (n, rest_n)) = (digits(left), digits(right));
            match m.len().cmp(&n.len()).then_with(|| m.cmp(n)) {
                Ordering::Equal => (left, right) = (rest_m, rest_n),
                unequal => return unequal,
            }
        } else if x == y {
            (left, right) = (&left[1..], &right[1..]);
        } else {
            return x.cmp(&y);
        }
    }
}

/// The run of digits at the start without leading zeros, and what follows it.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    let zeros = run.iter().position(|&b| b != b'0').unwrap_or(run.len());
    (&run[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_compare_as_numbers() {
        let mut names = ["node-10", "node-9", "node-09", "node-1a", "node", "node-1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["node", "node-1", "node-1a", "node-09", "node-9", "node-10"]);
    }
}
