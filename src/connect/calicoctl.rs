//! calicoctl's configuration file: `kind: CalicoAPIConfig`, YAML or JSON.
//!
//! Only its `spec` matters, as a list of texts: calicoctl matches names without regard to case and takes
//! numbers and booleans where it wants text. Unknown fields are noted, not refused: the file is calicoctl's,
//! and its next version may know more than we do.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::environment::stream;
use crate::error::Error;

/// Where calicoctl looks when nobody tells it.
pub const DEFAULT_PATH: &str = "/etc/calico/calicoctl.cfg";

/// Fields that calicoctl knows: they need no note, though we have no use for those of Kubernetes.
const FIELDS: [&str; 22] = [
    "kubeconfig",
    "k8sapiendpoint",
    "k8skeyfile",
    "k8scertfile",
    "k8scafile",
    "k8sapitoken",
    "k8sinsecureskiptlsverify",
    "k8sdisablenodepoll",
    "k8scurrentcontext",
    "k8susepodcidr",
    "datastoretype",
    "etcdendpoints",
    "etcddiscoverysrv",
    "etcdusername",
    "etcdpassword",
    "etcdkeyfile",
    "etcdcertfile",
    "etcdcacertfile",
    "etcdkey",
    "etcdcert",
    "etcdcacert",
    "etcdfipsmodeenabled",
];

/// The `spec` of a file, by lower-case name; empty values are left out.
#[derive(Clone)]
pub struct ConfigFile {
    pub path: String,
    spec: BTreeMap<String, String>,
    /// What a person may want to know about it.
    pub notes: Vec<String>,
}

/// Names only: the values hold keys and passwords.
impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).field("fields", &self.spec.keys()).finish()
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    spec: Option<BTreeMap<String, Option<String>>>,
}

impl ConfigFile {
    /// Parses the text of the file at `path`.
    ///
    /// # Errors
    /// No YAML, another kind of document, or certificates given both inline and as files.
    pub fn parse(path: &str, text: &str) -> Result<ConfigFile, Error> {
        let doing = "understand calicoctl's configuration";
        if text.trim().is_empty() {
            return Err(Error::configuration(doing)
                .at(path)
                .cause(format!("{} is empty", stream::what(Path::new(path)))));
        }
        let options = serde_saphyr::options! { with_snippet: false };
        // Never the parser's own words: they may quote the line, and the line may be a password.
        let document: Document = serde_saphyr::from_str_with_options(text, options)
            .map_err(|e| Error::configuration(doing).at(path).cause(place(&e)))?;
        if document.kind != "CalicoAPIConfig" || document.api_version != "projectcalico.org/v3" {
            let seen = format!("it is {:?} of {:?}", document.kind, document.api_version);
            let hint = "expected kind CalicoAPIConfig of apiVersion projectcalico.org/v3";
            return Err(Error::configuration(doing).at(path).cause(seen).hint(hint));
        }
        let mut file = ConfigFile { path: path.to_owned(), spec: BTreeMap::new(), notes: Vec::new() };
        for (name, value) in document.spec.unwrap_or_default() {
            let lower = name.to_ascii_lowercase();
            if !FIELDS.contains(&lower.as_str()) {
                file.notes.push(format!("{path}: unknown field {name:?} was not used"));
            }
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                file.spec.insert(lower, value);
            }
        }
        let any = |names: [&str; 3]| names.iter().any(|name| file.get(name).is_some());
        if any(["etcdCert", "etcdKey", "etcdCACert"]) && any(["etcdCertFile", "etcdKeyFile", "etcdCACertFile"]) {
            let seen = "certificates are given both inline and as files";
            return Err(Error::configuration(doing)
                .at(path)
                .cause(seen)
                .hint("keep one of the two, as calicoctl demands"));
        }
        Ok(file)
    }

    /// The value of a field, without regard to case; `None` when absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.spec.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

fn place(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(at) => format!("no valid YAML at line {}, column {}", at.line(), at.column()),
        None => "no valid YAML".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    const FILE: &str = "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n";

    fn parse(spec: &str) -> Result<ConfigFile, Error> {
        ConfigFile::parse("some.cfg", &format!("{FILE}{spec}"))
    }

    #[test]
    fn reads_what_calicoctl_reads() {
        let file = parse(
            "  etcdEndpoints: https://a:2379\n  ETCDPASSWORD: 12345\n  etcdUsername: ~\n  etcdKey: |\n    a\n    b\n",
        )
        .unwrap();
        assert_eq!(file.get("etcdEndpoints"), Some("https://a:2379"));
        assert_eq!(file.get("etcdPassword"), Some("12345"));
        assert_eq!(file.get("etcdKey"), Some("a\nb\n"));
        assert_eq!((file.get("etcdUsername"), file.get("etcdCert")), (None, None));
        let json = r#"{"apiVersion":"projectcalico.org/v3","kind":"CalicoAPIConfig","spec":{"etcdEndpoints":"http://b:1","etcdFIPSModeEnabled":true}}"#;
        let file = ConfigFile::parse("some.json", json).unwrap();
        assert_eq!((file.get("etcdEndpoints"), file.notes.len()), (Some("http://b:1"), 0));
        assert!(ConfigFile::parse("some.cfg", FILE).is_ok(), "a spec may be empty");
        assert_eq!(ConfigFile::parse("some.cfg", "\n").unwrap_err().cause.unwrap().to_string(), "the file is empty");
    }

    #[test]
    fn says_what_it_does_not_use() {
        let file = parse("  etcdCaCerts: x\n  kubeconfig: /root/.kube/config\n").unwrap();
        assert_eq!(file.notes, ["some.cfg: unknown field \"etcdCaCerts\" was not used"]);
    }

    #[test]
    fn refuses_what_calicoctl_refuses() {
        let mixed = parse("  etcdCert: x\n  etcdKeyFile: y\n").unwrap_err();
        assert!(chain(&mixed).contains("both inline and as files"), "{mixed:?}");
        let kind = "apiVersion: projectcalico.org/v3\nkind: IPPool\nspec: {}\n";
        assert!(ConfigFile::parse("some.cfg", kind).unwrap_err().hint.contains("CalicoAPIConfig"));
        assert!(ConfigFile::parse("some.cfg", "kind: CalicoAPIConfig\n").is_err());
    }

    #[test]
    fn never_repeats_the_file_in_an_error() {
        for text in [
            format!("{FILE}  etcdPassword: \"hunter2\n  b: ["),
            format!("{FILE}  etcdPassword: [hunter2]\n"),
            format!("{FILE}  etcdPassword: a\n  etcdPassword: hunter2\n"),
            "hunter2".to_owned(),
            "- hunter2: {".to_owned(),
        ] {
            let error = ConfigFile::parse("some.cfg", &text).unwrap_err();
            let all = format!("{} {error:?}", chain(&error));
            assert!(all.contains("some.cfg") && !all.contains("hunter2"), "{all}");
        }
        let file = parse("  etcdPassword: hunter2\n").unwrap();
        assert!(!format!("{file:?}").contains("hunter2"));
    }
}
