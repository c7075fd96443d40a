//! Every check that there is.

use std::sync::LazyLock;

use super::{Check, Family, addresses, affinities, blocks, capacity, datastore, endpoints, handles, node};
use crate::model::row::FindingRow;
use crate::model::{Code, Fact, Finding, Foreign, KeptFinding, glob, near};

/// The families, by code.
pub static FAMILIES: [&Family; 8] = [
    &addresses::FAMILY,
    &handles::FAMILY,
    &blocks::FAMILY,
    &affinities::FAMILY,
    &endpoints::FAMILY,
    &capacity::FAMILY,
    &node::FAMILY,
    &datastore::FAMILY,
];

/// Every check, by code.
pub static ALL: LazyLock<Vec<&'static Check>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|(_, checks)| checks.iter().copied()).collect());

/// Reads a code as people write it: `IPA101`, `ipa101`.
///
/// # Errors
/// Anything else; in words, with an example.
pub fn code(text: &str) -> Result<Code, String> {
    let example = addresses::duplicate_pod_address::CHECK.code;
    text.parse().map_err(|e| format!("{e}; codes look like {example}"))
}

/// The check of this code.
pub fn find(code: Code) -> Option<&'static Check> {
    let at = ALL.binary_search_by_key(&code, |check| check.code).ok()?;
    ALL.get(at).copied()
}

/// The checks that somebody means who writes a code (`IPA101`, `101`), a name (`duplicate-pod-address`), or either with
/// `*` and `?` in it (`IPA5*`, `leaked-*`); in any case. None: nobody can mean that.
pub fn meant(text: &str) -> Vec<&'static Check> {
    let pattern = text.trim().to_lowercase();
    let fits = |check: &Check| {
        let code = check.code.to_string().to_lowercase();
        let words = [code.as_str(), code.trim_start_matches(|c: char| c.is_ascii_alphabetic()), check.name];
        words.iter().any(|word| glob::matches(&pattern, word))
    };
    ALL.iter().copied().filter(|check| fits(check)).collect()
}

/// The one check that somebody means: its code (`IPA101`, `101`) or its name. What narrows an answer must name what there
/// is: a slip of the fingers would read as an all-clear.
///
/// # Errors
/// What means no check, with what comes near it, or several.
pub fn one(text: &str) -> Result<Code, String> {
    match meant(text).as_slice() {
        [check] => Ok(check.code),
        [] => {
            let near: Vec<Foreign> = nearest(text).into_iter().map(Foreign::from).collect();
            let hint: Foreign = match near.as_slice() {
                [] => "; `ipaudit explain` lists all".into(),
                near => near::did_you_mean(near),
            };
            Err(format!("no check has this code or name{}", hint.shown()))
        }
        many => Err(format!("{} checks are meant: give each by its code or name", many.len())),
    }
}

/// For who wrote what no check is called: the codes and names that come nearest.
pub fn nearest(text: &str) -> Vec<String> {
    let codes: Vec<String> = ALL.iter().map(|check| check.code.to_string()).collect();
    let names = ALL.iter().map(|check| check.name);
    let near = near::nearest(text.trim(), names.chain(codes.iter().map(String::as_str)));
    near.into_iter().map(str::to_owned).collect()
}

/// Where the docs lie: the address of the folder that the build was given, else the folder itself.
const DOCS: &str = match option_env!("IPAUDIT_DOCS_URL") {
    Some(address) if !address.is_empty() => address,
    _ => "docs",
};

/// The place of this code's page: `docs/checks.md#ipa101-duplicate-pod-address`, as an address where the build was given
/// that of the docs. Empty for a code of another version.
pub fn page(code: Code) -> String {
    find(code).map(|check| page_below(DOCS, check)).unwrap_or_default()
}

/// The anchor is the one that renderers of Markdown give to the page's heading.
fn page_below(docs: &str, check: &Check) -> String {
    let code = check.code.to_string().to_lowercase();
    format!("{}/checks.md#{code}-{}", docs.trim_end_matches('/'), check.name)
}

/// Whether a confirmed finding of this code proves that its address is leaked.
pub fn proves_leak(code: Code) -> bool {
    find(code).is_some_and(|check| check.ties.proves_leak)
}

/// Whether a finding says so: an address that somebody shows is in use, whoever it was given to.
pub fn is_leak(finding: &Finding) -> bool {
    proves_leak(finding.code) && finding.evidence.get("held") != Some(&Fact::Flag(true))
}

/// The same of one that is kept: only what may be one is opened.
pub fn is_kept_leak(finding: &KeptFinding) -> bool {
    proves_leak(finding.code) && is_leak(&finding.open())
}

/// How the summary of a leak ends whose address somebody shows: the history knows it by this.
const SHOWN_BY_SOMEBODY: &str = "; somebody shows it";

/// This end of a summary, where somebody shows the address.
pub const fn held_words(held: bool) -> &'static str {
    if held { SHOWN_BY_SOMEBODY } else { "" }
}

/// Whether a finding of the history says so, as [`is_leak`] of an audit's.
pub fn is_leak_told(finding: &FindingRow) -> bool {
    proves_leak(finding.code) && !finding.summary.raw().ends_with(SHOWN_BY_SOMEBODY)
}

/// The codes that do: whose leaks they are is one question, of pools, of reports and of first lines alike.
pub fn leaks() -> impl Iterator<Item = Code> {
    ALL.iter().filter(|check| check.ties.proves_leak).map(|check| check.code)
}

/// The name of the check of this code; empty for a code of another version.
pub fn name(code: Code) -> &'static str {
    find(code).map_or("", |check| check.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<u16> {
        meant(text).iter().map(|check| check.code.0).collect()
    }

    #[test]
    fn codes_names_and_globs_of_either_mean_checks() {
        for text in ["IPA101", "ipa101", "101", " 101 ", "duplicate-pod-address", "Duplicate-Pod-Address", "*101"] {
            assert_eq!(codes(text), [101], "{text}");
        }
        let endpoints: Vec<u16> = ALL.iter().map(|check| check.code.0).filter(|code| code / 100 == 5).collect();
        for text in ["IPA5*", "ipa5??", "5*"] {
            assert_eq!(codes(text), endpoints, "{text}");
        }
        assert!(codes("leaked-*").contains(&110) && !codes("leaked-*").contains(&101));
        assert_eq!(codes("*").len(), ALL.len());
        for text in ["", "IPA", "IPA999", "1", "duplicate", "IPA5", "[0-9]*", "é*"] {
            assert!(codes(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn one_check_is_meant_or_it_is_an_error() {
        for text in ["IPA110", "ipa110", "110", "leaked-address"] {
            assert_eq!(one(text), Ok(Code(110)), "{text}");
        }
        let wrong = |text| one(text).unwrap_err();
        assert!(
            wrong("IPA111x").starts_with("no check has this code or name; did you mean IPA111"),
            "{}",
            wrong("IPA111x")
        );
        assert_eq!(wrong("leaked-adress"), "no check has this code or name; did you mean leaked-address?");
        assert_eq!(wrong("nonsense at all"), "no check has this code or name; `ipaudit explain` lists all");
        assert!(wrong("leaked-*").ends_with(" checks are meant: give each by its code or name"));
    }

    #[test]
    fn a_page_is_a_place_in_the_docs_or_an_address() {
        let check = find(Code(101)).unwrap();
        let anchor = "checks.md#ipa101-duplicate-pod-address";
        for docs in ["https://example.com/ipaudit/docs", "https://example.com/ipaudit/docs/"] {
            assert_eq!(page_below(docs, check), format!("https://example.com/ipaudit/docs/{anchor}"));
        }
        assert_eq!(page_below("docs", check), format!("docs/{anchor}"));
        assert!(page(Code(101)).ends_with(anchor));
        assert_eq!(page(Code(999)), "");
    }

    #[test]
    fn what_comes_near_is_named() {
        assert_eq!(nearest("duplicate-pod-adress"), ["duplicate-pod-address"]);
        assert!(nearest("IPA111").contains(&"IPA111".to_owned()));
        assert!(nearest("nonsense at all").is_empty());
    }
}
