//! `*` for any characters, none too, `?` for one: what shells taught people to write for many subjects.

/// Whether all of `text` fits `glob`. Linear in practice: only the last star is ever tried again.
pub fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&c) if c == '?' || text.get(t) == Some(&c) => {
                g += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (g, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (glob, text) in [
            ("10.65.0.1", "10.65.0.1"),
            ("10.65.*", "10.65.0.1"),
            ("*", ""),
            ("*", "anything at all"),
            ("*.1", "10.65.1.1.1"),
            ("10.*.0.?", "10.65.0.1"),
            ("**a*", "xxaxx"),
            ("host:node-* 10.65.*/26", "host:node-1 10.65.0.0/26"),
            ("shop/*--0-eth0", "shop/node--1-k8s-web--0-eth0"),
            ("h?te-d-azur", "höte-d-azur"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("10.65.0.1", "10.65.0.11"),
            ("10.65.0.?", "10.65.0.11"),
            ("10.65.0.?", "10.65.0."),
            ("", "x"),
            ("*a", "ab"),
            ("a*b*c", "abab"),
            ("[0-9]", "5"),
        ] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    /// The shape on which naive matchers take for ever.
    #[test]
    fn many_stars_end() {
        assert!(!matches(&format!("{}b", "a*".repeat(40)), &"a".repeat(4_000)));
    }
}
