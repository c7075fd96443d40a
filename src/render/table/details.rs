//! What a single finding shows of its evidence: who keeps an address and who must be restarted, which
//! endpoints one workload has. All other evidence is in the JSON.

use super::findings::HANG;
use super::paper::{BOLD, PLAIN, Text};
use crate::model::{Evidence, Fact, Finding};

/// So many names are shown without `--all`.
const NAMES: usize = 24;
/// Where values of details begin.
const INDENT: usize = HANG + 9;

/// What belongs behind the summary: of a duplicate, how many endpoints list the address; the node, where
/// nothing else names it.
pub fn addition(finding: &Finding) -> String {
    let mut text = match (finding.code.0, finding.evidence.get("endpoints")) {
        (101, Some(Fact::List(list))) if !list.is_empty() => {
            format!(", {} endpoint{}", list.len(), if list.len() == 1 { "" } else { "s" })
        }
        _ => String::new(),
    };
    if let Some(node) = finding.node.as_deref().filter(|node| !names_node(finding, node)) {
        text.push_str(&format!(" (on {node})"));
    }
    text
}

/// An endpoint's name has the node's hyphens doubled. Several pods are not all on the finding's node.
fn names_node(finding: &Finding, node: &str) -> bool {
    let doubled = node.replace('-', "--");
    let told = [&finding.summary, &finding.subject.id];
    finding.code.0 == 101 || told.iter().any(|text| text.contains(node) || text.contains(&doubled))
}

/// The lines, each with its hanging indent.
pub fn of(finding: &Finding, all: bool) -> Vec<(usize, Text)> {
    let mut lines = Vec::new();
    // The advice names the one to keep already, as a rule.
    if let Some(Fact::Text(keep)) = finding.evidence.get("keep").filter(|keep| !is_in_advice(finding, keep)) {
        lines.push(line("keep", std::iter::once(keep.as_str()), all));
    }
    let restart = texts(finding.evidence.get("restart"));
    if !restart.is_empty() {
        lines.push(line("restart", restart.into_iter(), all));
    }
    if finding.code.0 == 503 {
        let own = |f: &Fact| if let Fact::Record(record) = f { place(record) } else { None };
        let endpoints: Vec<String> = match finding.evidence.get("endpoints") {
            Some(Fact::List(list)) => list.iter().filter_map(own).collect(),
            _ => Vec::new(),
        };
        lines.extend(endpoints.iter().map(|e| line("", std::iter::once(e.as_str()), all)));
    }
    lines
}

fn is_in_advice(finding: &Finding, fact: &Fact) -> bool {
    matches!(fact, Fact::Text(text) if finding.advice.contains(text))
}

fn line<'f>(label: &str, names: impl ExactSizeIterator<Item = &'f str>, all: bool) -> (usize, Text) {
    let number = names.len();
    let shown = if all || number <= NAMES { number } else { NAMES };
    let mut text = Text::new().field(BOLD, label);
    for (i, name) in names.take(shown).enumerate() {
        text = if i == 0 { text.column_whole(PLAIN, name, INDENT - HANG) } else { text.whole(PLAIN, name) };
    }
    if shown < number {
        text = text.field(PLAIN, &format!("… {} more", number - shown));
    }
    (INDENT, text)
}

/// `on slave-57  adqsdxadc/slave--57-k8s-store--mysql--0-eth0  192.168.201.71`.
fn place(endpoint: &Evidence) -> Option<String> {
    let text = |name: &str| match endpoint.get(name) {
        Some(Fact::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let addresses = texts(endpoint.get("addresses")).join(" ");
    Some(format!("{}: {} {addresses}", text("node")?, text("endpoint")?).trim_end().to_owned())
}

fn texts(fact: Option<&Fact>) -> Vec<&str> {
    let Some(Fact::List(list)) = fact else { return Vec::new() };
    list.iter().filter_map(|f| if let Fact::Text(text) = f { Some(text.as_str()) } else { None }).collect()
}
