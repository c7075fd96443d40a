//! Calico's version, as ClusterInformation says it: `v3.29.1`, `v3.34.0-0.dev-67-g87c15906f2`, `master`, nothing.
//!
//! What IPAM does depends on it in places. A word that says no number is an unknown version, never a guess.

/// A version by its numbers; ordered as releases are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
    /// False of what was built before the release of these numbers: `-0.dev…`, `-alpha…`, `-beta…`, `-rc…`. A change
    /// that came with the release may not be in it, so it counts as before. Any other ending is a builder's own mark,
    /// or the commits since the release (`v3.29.1-5-g3f2c`), and takes nothing away.
    pub released: bool,
}

impl Version {
    /// The release of these numbers.
    pub const fn release(major: u32, minor: u32, patch: u32) -> Version {
        Version { major, minor, patch, released: true }
    }

    /// The version of a text; `None` when it does not begin with two numbers.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut parts = numbers.split('.');
        let mut next = || parts.next().map(str::parse::<u32>).and_then(Result::ok);
        let (major, minor) = (next()?, next()?);
        // `v3.28` and `v3.28.` say no patch.
        let patch = next().unwrap_or(0);
        let mark = rest.trim_start_matches(['-', '.', '_', '+']).to_ascii_lowercase();
        let before = ["0.", "dev", "alpha", "beta", "rc", "pre"].iter().any(|word| mark.starts_with(word));
        Some(Version { major, minor, patch, released: !before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_its_numbers() {
        for (text, version) in [
            ("v3.29.1", Version::release(3, 29, 1)),
            ("3.7.2", Version::release(3, 7, 2)),
            (" v3.28 ", Version::release(3, 28, 0)),
            ("v3.28.", Version::release(3, 28, 0)),
            ("v3.32.0-5-g3f2c1a2b", Version::release(3, 32, 0)),
            ("v3.26.4-gke.5", Version::release(3, 26, 4)),
            ("v3.26.4_mirantis", Version::release(3, 26, 4)),
            ("v3.29.1-dirty", Version::release(3, 29, 1)),
            ("v3.34.0-0.dev-67-g87c15906f2", Version { released: false, ..Version::release(3, 34, 0) }),
            ("v3.32.0-rc1", Version { released: false, ..Version::release(3, 32, 0) }),
            ("v3.32.0-beta.2", Version { released: false, ..Version::release(3, 32, 0) }),
        ] {
            assert_eq!(Version::parse(text), Some(version), "{text}");
        }
    }

    #[test]
    fn what_says_no_numbers_is_unknown() {
        for text in ["", "master", "v3", "v", "latest", "release-v3.28", ".3.4", "v3.x", "v99999999999.1.0"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    /// A build of before 3.32.0 counts as before it, one of before 3.34.0 does not.
    #[test]
    fn what_was_built_before_a_release_is_before_it() {
        let parse = |text| Version::parse(text).unwrap();
        let reclaims = Version::release(3, 32, 0);
        assert!(parse("v3.34.0-0.dev-67-g87c15906f2") > reclaims && parse("v3.32.0-1-gabc") >= reclaims);
        assert!(parse("v3.32.0-0.dev-12-gabc") < reclaims && parse("v3.31.9") < reclaims);
        assert!(parse("v3.9.1") < parse("v3.28.0"), "numbers, not text");
    }
}
