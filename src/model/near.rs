//! "Did you mean": the known names that somebody may have meant by a word that nobody knows.

use super::Foreign;
use super::foreign::foreign;

/// So many at most.
const MOST: usize = 3;

/// Of `known` those that `word` is nearest to, the nearest first, three at most; upper and lower case are one. Near is
/// a name in full for its short form (`node-7` of `node-7.example.com`), what becomes the word by few slips (one letter in
/// four wrong, missing, too many, or swapped with the next), and what has the word as a part or is a part of it.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let wanted = word.to_lowercase();
    let mut ranked: Vec<(usize, &str)> =
        known.into_iter().filter_map(|name| Some((rank(&wanted, &name.to_lowercase())?, name))).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().map(|(_, name)| name).take(MOST).collect()
}

/// The same for names of the cluster.
pub fn near(word: &str, names: &[Foreign]) -> Vec<Foreign> {
    nearest(word, names.iter().map(Foreign::raw)).into_iter().map(Foreign::from).collect()
}

/// `; did you mean a, b or c?`; nothing where nothing is near.
pub fn did_you_mean(near: &[Foreign]) -> Foreign {
    let near: Vec<&str> = near.iter().map(Foreign::raw).collect();
    asks(&near).map(|asks| foreign!("; {}", Foreign::from(asks))).unwrap_or_default()
}

/// `did you mean a, b or c?`, of names spelled out as they are shown; `None` where nothing is near.
pub fn asks(near: &[impl AsRef<str>]) -> Option<String> {
    let near: Vec<&str> = near.iter().map(AsRef::as_ref).collect();
    let (last, others) = near.split_last()?;
    Some(match others {
        [] => format!("did you mean {last}?"),
        _ => format!("did you mean {} or {last}?", others.join(", ")),
    })
}

/// How far a name is from what is wanted; `None`: it is another one.
fn rank(wanted: &str, other: &str) -> Option<usize> {
    let (length, others) = (wanted.chars().count(), other.chars().count());
    // One letter of a short word, more of a long one.
    let most = length.div_ceil(4).min(4);
    let slips = (length.abs_diff(others) <= most)
        .then(|| strsim::osa_distance(wanted, other))
        .filter(|slips| *slips <= most && *slips < others);
    let (short, long) = if length < others { (wanted, other) } else { (other, wanted) };
    let is_short = !short.is_empty()
        && (long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'))
            || long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.')));
    let is_part = length.min(others) > 2 && long.contains(short);
    let part = if is_short { Some(0) } else { is_part.then_some(most + 1) };
    part.into_iter().chain(slips).min()
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
            ("wbe", vec!["we", "web"]),
        ] {
            assert_eq!(near(word, &names), wanted, "{word}");
        }
        assert_eq!(near("nöde-1", &["nöde-2", "node-1"].map(Foreign::from)), ["node-1", "nöde-2"]);
    }

    #[test]
    fn words_of_the_manual_are_found_and_strangers_are_not() {
        const KNOWN: [&str; 4] = ["leaked-address", "leaked-tunnel", "orphaned-handle", "IPA110"];
        assert_eq!(nearest("leaked-adress", KNOWN), ["leaked-address"]);
        assert_eq!(nearest("laeked-tunnel", KNOWN), ["leaked-tunnel"]);
        assert_eq!(nearest("leaked", KNOWN), ["leaked-address", "leaked-tunnel"]);
        assert_eq!(nearest("ipa101", KNOWN), ["IPA110"]);
        assert_eq!(nearest("Orphaned_Handle", KNOWN), ["orphaned-handle"]);
        assert!(nearest("nonsense", KNOWN).is_empty() && nearest("", KNOWN).is_empty());
        assert!(nearest("é".repeat(3000).as_str(), KNOWN).is_empty());
    }
}
