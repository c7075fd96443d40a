//! What an audit found as SARIF 2.1.0, for viewers and trackers of findings: rules from the catalogue, a result a finding.
//!
//! A datastore has no files, so results have logical locations alone. Written as a stream, never built in memory.

use std::io::{Result, Write};

use serde::{Serialize, Serializer};

use super::json::{TOOL, by_entry_of};
use super::manual::sections;
use super::view::AuditView;
use crate::checks::{ALL, Check, Skipped};
use crate::exit::Exit;
use crate::model::foreign::foreign;
use crate::model::json::in_json;
use crate::model::{Code, Finding, Foreign, Severity, Subject};

/// The published schema of the format.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Its version.
const VERSION: &str = "2.1.0";

/// Writes the audit as a log with one run; one line a result.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    // Results stand in a list, in the run, in a list, in the log.
    by_entry_of(&Log(view), 4, out)
}

struct Log<'v>(&'v AuditView<'v>);

in_json!(|log: &Log<'_>| { "$schema": SCHEMA, "version": VERSION, "runs": [Run(log.0)] });

struct Run<'v>(&'v AuditView<'v>);

in_json!(|run: &Run<'_>| {
    "tool": Driver,
    // The same finding of two clusters is two findings.
    "automationDetails": AutomationId(&run.0.cluster.guid),
    "invocations": [Invocation(run.0)],
    "results": Results(run.0),
});

struct Driver;

in_json!(|_driver: &Driver| { "driver": Component });

struct Component;

in_json!(|_component: &Component| {
    "name": TOOL.name,
    "version": TOOL.version,
    "semanticVersion": TOOL.version,
    "rules": ALL.iter().map(|check| SarifRule(check)).collect::<Vec<_>>(),
});

struct AutomationId<'v>(&'v Foreign);

in_json!(|id: &AutomationId<'_>| { "id": foreign!("ipaudit/audit/{}/", id.0) });

struct SarifRule(&'static Check);

in_json!(|rule: &SarifRule| {
    "id": rule.0.code,
    "name": rule.0.name,
    "shortDescription": Message(first_sentence(rule.0.finds).into()),
    "fullDescription": Message(rule.0.finds.into()),
    "help": Help(rule.0),
    "defaultConfiguration": Configuration(rule.0.severity),
});

struct Configuration(Severity);

in_json!(|configuration: &Configuration| { "level": level(configuration.0) });

struct Help(&'static Check);

in_json!(|help: &Help| {
    "text": sections(help.0).map(|(heading, text)| format!("{heading}\n{text}")).join("\n\n"),
    "markdown": sections(help.0).map(|(heading, text)| format!("**{heading}.** {text}")).join("\n\n"),
});

struct Message(Foreign);

in_json!(|message: &Message| { "text": message.0.shown() });

struct Invocation<'v>(&'v AuditView<'v>);

in_json!(|invocation: &Invocation<'_>| {
    // Else a viewer takes silence for innocence.
    "executionSuccessful": matches!(invocation.0.exit, Exit::Clean | Exit::Findings),
    "exitCode": invocation.0.exit.code(),
    "exitCodeDescription": invocation.0.exit.word(),
    "startTimeUtc": invocation.0.audit.started,
    "toolExecutionNotifications": invocation.0.skipped.iter().map(Notification).collect::<Vec<_>>(),
});

struct Notification<'v>(&'v Skipped);

in_json!(|notification: &Notification<'_>| {
    "associatedRule": RuleReference(notification.0.code),
    "level": if notification.0.incomplete { "warning" } else { "note" },
    "message": Message(foreign!("did not run: {}", notification.0.reason)),
});

struct RuleReference(Code);

in_json!(|rule: &RuleReference| { "id": rule.0, "index": rule_index(rule.0) });

/// The findings, made one by one while they are written.
struct Results<'v>(&'v AuditView<'v>);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.findings.iter().map(|finding| SarifResult(finding.open())))
    }
}

struct SarifResult(Finding);

in_json!(|result: &SarifResult| {
    "ruleId": result.0.code,
    "ruleIndex": rule_index(result.0.code),
    "level": level(result.0.severity),
    "message": Message(Foreign::from(literal(&said(&result.0).shown()))),
    "locations": [Location(&result.0.subject)],
    "fingerprints": Fingerprints(&result.0),
    "properties": Properties(&result.0),
});

struct Location<'v>(&'v Subject);

in_json!(|location: &Location<'_>| { "logicalLocations": [Logical(location.0)] });

struct Logical<'v>(&'v Subject);

in_json!(|logical: &Logical<'_>| {
    "name": logical.0.id,
    "fullyQualifiedName": foreign!("{}/{}", logical.0.kind.word(), logical.0.id),
    "kind": logical.0.kind,
});

/// The identity of a finding: its code and subject, never its text.
struct Fingerprints<'v>(&'v Finding);

in_json!(|prints: &Fingerprints<'_>| {
    "ipaudit/v1": foreign!("{}/{}/{}", prints.0.code, prints.0.subject.kind.word(), prints.0.subject.id),
});

/// What SARIF has no field for.
struct Properties<'v>(&'v Finding);

in_json!(|of: &Properties<'_>| {
    "severity": of.0.severity,
    "state": of.0.state,
    "node": of.0.node,
    "namespace": of.0.namespace,
    "pool": of.0.pool,
    "since": of.0.since,
    "first_seen": of.0.life.map(|life| life.first_seen),
    "root": of.0.root,
    "next": of.0.next,
});

/// `10.65.0.1: held twice. Restart one of them`.
fn said(finding: &Finding) -> Foreign {
    let said = foreign!("{}: {}", finding.subject.id, finding.summary);
    if finding.advice.is_empty() { said } else { foreign!("{}. {}", said, finding.advice) }
}

/// Text in which nothing is a placeholder (SARIF 2.1.0, 3.11.5) or a link (3.11.6).
fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}").replace("](", "] (")
}

/// SARIF knows nothing worse than an error.
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Its place among the rules; -1, which SARIF has for "none", for a code of another version.
fn rule_index(code: Code) -> i64 {
    let place = ALL.iter().position(|check| check.code == code);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

fn first_sentence(text: &'static str) -> &'static str {
    text.split_inclusive(". ").next().map_or(text, str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_is_a_placeholder_or_a_link() {
        assert_eq!(literal("shop/{0}: [x](1) and {{"), "shop/{{0}}: [x] (1) and {{{{");
        assert_eq!(literal("10.65.0.1: held twice [by 2]"), "10.65.0.1: held twice [by 2]");
    }

    #[test]
    fn a_code_of_another_version_is_of_no_rule() {
        assert_eq!((rule_index(Code(101)), rule_index(Code(999))), (0, -1));
        assert_eq!(first_sentence("One thing. And another."), "One thing.");
    }
}
