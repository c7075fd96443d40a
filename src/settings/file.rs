//! The settings file: TOML.
//!
//! ```toml
//! ignore = ["IPA113", { code = "IPA110", subject = "10.65.*", reason = "the lab", until = 2026-12-31 }]
//!
//! [severity]
//! IPA201 = "note"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::until::Until;
use super::{Ignore, Settings, SeverityOf};
use crate::checks::addresses::leaked_address;
use crate::model::Code;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    severity: Severities,
    #[serde(default)]
    ignore: Vec<IgnoreEntry>,
}

/// Codes are read as keys, so that a wrong one is told with its place.
#[derive(Default)]
struct Severities(BTreeMap<Code, crate::model::Severity>);

impl<'de> Deserialize<'de> for Severities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Severities, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let read = |(code, severity)| format!("{code}={severity}").parse::<SeverityOf>().map_err(D::Error::custom);
        let read: Vec<SeverityOf> = texts.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Severities(read.into_iter().map(|s| (s.code, s.severity)).collect()))
    }
}

enum IgnoreEntry {
    Short(String),
    Long(Long),
}

impl<'de> Deserialize<'de> for IgnoreEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IgnoreEntry, D::Error> {
        let leak = leaked_address::CHECK.code;
        let is =
            |_| format!("an ignore is \"{leak}\", \"{leak}:10.65.*\" or a table of code, subject, reason and until");
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(IgnoreEntry::Short(text)),
            table => table.try_into().map(IgnoreEntry::Long).map_err(is).map_err(D::Error::custom),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    code: String,
    subject: Option<String>,
    reason: Option<String>,
    /// A day of TOML's, or the same as text.
    until: Option<toml::Value>,
}

impl Settings {
    /// What the text of a settings file says.
    ///
    /// # Errors
    /// One sentence with the place: what is no TOML, not of its shape, or names an unknown code or severity.
    pub fn parse(text: &str) -> Result<Settings, String> {
        let file: File = toml::from_str(text).map_err(|e| told(text, &e))?;
        let ignores = file.ignore.into_iter().map(|entry| match entry {
            IgnoreEntry::Short(text) => text.parse(),
            IgnoreEntry::Long(Long { code, subject, reason, until }) => {
                let code = super::known(&code)?;
                let until = until.map(|day| match day {
                    toml::Value::String(day) => Until::parse(&day),
                    toml::Value::Datetime(day) => Until::parse(&day.to_string()),
                    other => Until::parse(other.type_str()),
                });
                Ok(Ignore { code, subject, reason, until: until.transpose()? })
            }
        });
        let ignores = ignores.collect::<Result<Vec<Ignore>, String>>().map_err(|e| format!("ignore: {e}"))?;
        Ok(Settings { severities: file.severity.0, ignores })
    }
}

/// The error in one line: errors are printed escaped, so the crate's drawing of the place would be unreadable.
fn told(text: &str, error: &toml::de::Error) -> String {
    let line = |start: usize| 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    let place = error.span().map(|span| format!("line {}: ", line(span.start))).unwrap_or_default();
    format!("{place}{}", error.message().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;

    #[test]
    fn both_forms_of_an_ignore_and_severities() {
        let settings = Settings::parse(
            r#"
            ignore = ["IPA113", "IPA201:k8s-pod-network.*", { code = "IPA110", subject = "10.65.*", reason = "the lab" }]
            [severity]
            IPA201 = "note"
            IPA120 = "error"
            "#,
        )
        .unwrap();
        assert_eq!(settings.severities, [(Code(120), Severity::Error), (Code(201), Severity::Note)].into());
        let texts: Vec<String> = settings.ignores.iter().map(Ignore::to_string).collect();
        assert_eq!(texts, ["IPA113", "IPA201:k8s-pod-network.*", "IPA110:10.65.*"]);
        assert_eq!(settings.ignores[2].reason.as_deref(), Some("the lab"));
        let tables =
            Settings::parse("[[ignore]]\ncode = \"IPA113\"\n[[ignore]]\ncode = \"IPA110\"\nsubject = \"10.*\"\n")
                .unwrap();
        assert_eq!(tables.ignores.len(), 2);
        assert_eq!(Settings::parse("").unwrap(), Settings::default());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, what) in [
            ("[severity]\nIPA999 = \"note\"", "no check has the code IPA999"),
            ("[severity]\nIPA201 = \"low\"", "\"low\" is no severity"),
            ("ignore = [\"IPA999:x\"]", "no check has the code IPA999"),
            ("ignore = [{ code = \"leak\" }]", "\"leak\" is no code"),
            ("ignore = [{ subject = \"10.*\" }]", "an ignore is"),
            ("ignore = [5]", "an ignore is"),
            ("ignore = [{ code = \"IPA110\", until = 2026-12-31T00:00:00Z }]", "is no day; write until = 2026-12-31"),
            ("ignore = [{ code = \"IPA110\", until = \"soon\" }]", "is no day; write until = 2026-12-31"),
            ("ignore = [{ code = \"IPA110\", until = 2026 }]", "is no day; write until = 2026-12-31"),
            ("ignores = []", "line 1: unknown field `ignores`"),
            ("\nignore = [", "line 2: "),
        ] {
            let error = Settings::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
