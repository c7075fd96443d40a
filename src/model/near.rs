//! "Did you mean": the known names that somebody may have meant by a word that nobody knows.

use super::Foreign;

/// So many at most.
const MOST: usize = 3;

/// The names nearest to `word`, nearest first: a few letters other, or one that begins or ends with the other.
pub fn near(word: &str, names: &[Foreign]) -> Vec<Foreign> {
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    let mut ranked: Vec<(usize, &Foreign)> =
        names.iter().filter_map(|name| Some((rank(&wanted, name)?, name))).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().map(|(_, name)| name.clone()).take(MOST).collect()
}

/// How far a name is from what is wanted; `None`: it is another one.
fn rank(wanted: &[char], name: &Foreign) -> Option<usize> {
    // One letter of a short word, more of a long one.
    let most = wanted.len().div_ceil(4).min(4);
    let other: Vec<char> = name.raw().to_lowercase().chars().collect();
    let apart = distance(wanted, &other, most).filter(|apart| *apart < other.len());
    let (short, long) = if wanted.len() < other.len() { (wanted, &other[..]) } else { (&other[..], wanted) };
    let (begins, ends) = (long.strip_prefix(short), long.strip_suffix(short));
    // `node-7` of `node-7.example.com`.
    let is_short =
        begins.is_some_and(|rest| rest.starts_with(&['.'])) || ends.is_some_and(|rest| rest.ends_with(&['.']));
    let is_part = short.len() > 2 && (begins.is_some() || ends.is_some());
    let part = if is_short { Some(0) } else { is_part.then_some(most + 1) };
    part.into_iter().chain(apart).min()
}

/// How many letters have to be put in, taken out or changed; `None` where it is more than `most`.
fn distance(a: &[char], b: &[char], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.iter().enumerate() {
        let mut next = vec![at + 1];
        for (y, (above, before)) in b.iter().zip(row.iter().skip(1).zip(&row)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((before + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().filter(|apart| *apart <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_a_slip_of_the_fingers_or_a_part() {
        let names = ["node-1", "node-2", "node-12", "node-7.example.com", "slave-140", "web", "we"];
        let names = names.map(Foreign::from);
        for (word, wanted) in [
            ("node-3", vec!["node-1", "node-2", "node-12"]),
            ("nod-1", vec!["node-1", "node-12", "node-2"]),
            ("NODE-1", vec!["node-1", "node-12", "node-2"]),
            ("slave140", vec!["slave-140"]),
            ("node-7", vec!["node-7.example.com", "node-1", "node-2"]),
            ("example.com", vec!["node-7.example.com"]),
            ("nosuch", vec![]),
            ("x", vec![]),
            ("", vec![]),
            ("wbe", vec!["we"]),
        ] {
            assert_eq!(near(word, &names), wanted, "{word}");
        }
        assert_eq!(near("nöde-1", &["nöde-2", "node-1"].map(Foreign::from)), ["node-1", "nöde-2"]);
    }

    #[test]
    fn distances_are_counted_up_to_a_limit() {
        let of =
            |a: &str, b: &str, most| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), most);
        assert_eq!((of("", "", 0), of("kitten", "sitting", 3), of("kitten", "sitting", 2)), (Some(0), Some(3), None));
        assert_eq!((of("abc", "ab", 1), of("ab", "abc", 1), of("abc", "", 2)), (Some(1), Some(1), None));
    }
}
