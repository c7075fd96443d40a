//! What `ipaudit node` prints for people: what was read of each node, with what it was compared, and the findings.

use std::io::{BufWriter, Result, Write};

use super::findings;
use super::line::total;
use super::options::Options;
use super::paper::{BOLD, DIM, GOOD, PLAIN, Paper, Text, style_of};
use crate::checks::{self, Skipped, worst_first};
use crate::exit::Exit;
use crate::model::foreign::foreign;
use crate::model::node_evidence::{Dump, DumpState, HostLink, NodeEvidence};
use crate::model::{Foreign, Input, InputState, KeptFinding, NodesSeen, Severity};
use crate::render::AuditView;
use crate::render::age::age;
use crate::render::folds::Folds;
use crate::render::number::grouped;

/// Writes the answer.
pub fn write(view: &AuditView<'_>, nodes: &NodesSeen, options: Options, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut paper = Paper::new(&mut out, options.width, options.color);
    let folds = Folds::of(&view.findings, options.all);
    if !options.quiet {
        paper.paragraph(0, 2, &answer(view, nodes, &folds))?;
        for node in &nodes.nodes {
            of_node(view, node, &mut paper)?;
        }
        paper.paragraph(0, 2, &compared(view))?;
    }
    findings::write(view, &folds, options, &mut paper)?;
    if !options.quiet {
        for reason in not_run(view.skipped, options.all) {
            paper.paragraph(0, 2, &reason)?;
        }
        paper.blank()?;
        paper.paragraph(0, 0, &last_line(view))?;
    }
    out.flush()
}

/// The worst thing, or that nothing was found in what was read.
fn answer(view: &AuditView<'_>, nodes: &NodesSeen, folds: &Folds<'_>) -> Text {
    let worst =
        folds.shown.iter().filter_map(|&i| view.findings.get(i)).min_by_key(|f| worst_first(f.gravity(), f.code));
    if let Some(worst) = worst.filter(|f| f.gravity() > Severity::Note) {
        let style = style_of(worst.gravity()).bold();
        let lead = format!("{}:", worst.gravity().word().to_uppercase());
        let shown = folds.shown.iter().filter_map(|&i| view.findings.get(i).copied());
        let is_alike = |f: &&KeptFinding| (f.code, f.gravity(), &f.node) == (worst.code, worst.gravity(), &worst.node);
        let alike: Vec<&KeptFinding> = shown.filter(is_alike).collect();
        let words = of_many(&alike).unwrap_or_else(|| foreign!("{} {}.", &worst.subject.id, worst.open().summary));
        return Text::new().field(style, &lead).then(PLAIN, &words.shown());
    }
    let names = Foreign::joined(nodes.nodes.iter().map(|node| &node.node), ", ");
    if nodes.nodes.iter().any(|node| node.unread().next().is_some()) || !view.audit.complete {
        let words = foreign!("Nothing found in what could be read of {}: this is no all-clear.", names);
        return Text::new().field(style_of(Severity::Warning), &words.shown());
    }
    Text::new().field(GOOD, &foreign!("Nothing wrong on {}, as far as was looked.", names).shown())
}

/// Of several of one kind on one node how many, and what all of them have in common: one alone would stand for a node that
/// is broken as a whole. `None`: there is one.
fn of_many(alike: &[&KeptFinding]) -> Option<Foreign> {
    let [first, _, ..] = alike else { return None };
    let many = checks::find(first.code).map(|check| check.ties.many).filter(|many| !many.is_empty())?;
    let reason = |f: &KeptFinding| Some(Foreign::from(f.open().summary.shown().split_once(": ")?.1));
    let shared = reason(first).filter(|own| alike.iter().all(|f| reason(f).as_ref() == Some(own)));
    let reason = shared.map(|reason| foreign!(": {}", reason)).unwrap_or_default();
    let node = first.node.clone().unwrap_or_default();
    let number = grouped(alike.len() as u64);
    let first = match reason.is_empty() {
        true => foreign!(". First: {} {}", &first.subject.id, first.open().summary),
        false => Foreign::default(),
    };
    Some(foreign!("{}, {number} {many}{}{}.", node, reason, first))
}

/// What was read of a node, what was not, and what nobody asked for.
fn of_node(view: &AuditView<'_>, node: &NodeEvidence, paper: &mut Paper<'_>) -> Result<()> {
    let mut text = Text::new().field(BOLD, &node.node.shown());
    for (name, number) in counts(node) {
        text = text.field(PLAIN, &format!("{number} {name}"));
    }
    if let Some(pods) = node.inside.pods.read() {
        let by = node.inside.means.as_ref().map(|means| format!(" by {}", means.shown())).unwrap_or_default();
        text = text.field(PLAIN, &format!("{} pods looked into{by}", pods.len()));
    }
    let looks = if node.readings == 1 { "one reading" } else { "two readings" };
    text = text.field(DIM, looks);
    if let Some(at) = node.taken_at() {
        let judged = view.audit.judged;
        let (apart, words) = if at > judged { (at.since(judged), "ahead of now") } else { (judged.since(at), "old") };
        text = text.field(DIM, &format!("{} {words}", age(apart)));
    }
    paper.paragraph(0, 2, &text)?;
    let is_workload = |link: &HostLink| node.is_workload(&link.name);
    if node.links.read().is_some_and(|links| !links.iter().any(is_workload)) {
        let prefixes = Foreign::joined(&node.prefixes, " or ");
        let words =
            foreign!("no interface begins with {}: no pod of Calico's is here, or --prefix is another", prefixes);
        paper.paragraph(2, 4, &Text::new().field(style_of(Severity::Warning), &words.shown()))?;
    }
    for (name, state) in node.dumps() {
        match state {
            DumpState::Read => {}
            DumpState::Partly(_) | DumpState::NotRead(_) => {
                let words = state.unread(name).unwrap_or_default();
                paper.paragraph(2, 4, &Text::new().field(style_of(Severity::Warning), &words.shown()))?;
            }
            DumpState::NotAsked => {
                // Read here it was nobody's to give.
                let how = if node.from.is_empty() { "not read" } else { "not given" };
                let words = format!("{name} {how}{}", misses(name));
                paper.paragraph(2, 4, &Text::new().field(DIM, &words))?;
            }
        }
    }
    Ok(())
}

fn counts(node: &NodeEvidence) -> Vec<(&'static str, usize)> {
    fn number<T>(dump: &Dump<Vec<T>>) -> Option<usize> {
        dump.read().map(Vec::len)
    }
    let counts = [
        ("links", number(&node.links)),
        ("addresses", number(&node.addresses)),
        ("IPv4 routes", number(&node.routes4)),
        ("IPv6 routes", number(&node.routes6)),
        ("neighbours", number(&node.neighbours)),
        ("verdicts", number(&node.verdicts)),
    ];
    counts.into_iter().filter_map(|(name, count)| Some((name, count?))).collect()
}

/// What a part that nobody gave would have shown.
fn misses(part: &str) -> &'static str {
    match part {
        "sysctls" => ": nobody can see a gateway that proxy_arp silences, nor wrong settings",
        "gateway verdicts" => ": nobody can see which pods the kernel does not answer",
        "links" => ": nobody can see which interfaces exist",
        "pods' insides" => ": which addresses pods really have, nobody looked",
        _ => "",
    }
}

/// What the node was held against.
fn compared(view: &AuditView<'_>) -> Text {
    let state = |input: Input| view.inputs.iter().find(|row| row.input == input).map(|row| row.state);
    let has = |input| state(input) == Some(InputState::Complete);
    match (has(Input::Endpoints), has(Input::Pods)) {
        (true, true) => Text::new().field(DIM, "compared with etcd and Kubernetes"),
        (true, false) => {
            Text::new().field(DIM, "compared with etcd, not with Kubernetes: what needs its pods was not looked for")
        }
        (false, _) => {
            let words = "compared with nothing: only what the node says by itself was looked for; give --etcd-dump or \
                --etcd-endpoints, and --kube-objects or a kubeconfig";
            Text::new().field(style_of(Severity::Warning), words)
        }
    }
}

/// The checks that did not run, by reason.
fn not_run(skipped: &[Skipped], all: bool) -> Vec<Text> {
    let mut reasons: Vec<(&Foreign, Vec<String>)> = Vec::new();
    for skipped in skipped.iter().filter(|skipped| skipped.incomplete || all) {
        match reasons.iter_mut().find(|(reason, _)| **reason == skipped.reason) {
            Some((_, codes)) => codes.push(skipped.code.to_string()),
            None => reasons.push((&skipped.reason, vec![skipped.code.to_string()])),
        }
    }
    let line = |(reason, codes): (&Foreign, Vec<String>)| {
        Text::new().field(BOLD, "SKIPPED").field(PLAIN, &codes.join(" ")).field(PLAIN, &reason.shown())
    };
    reasons.into_iter().map(line).collect()
}

fn last_line(view: &AuditView<'_>) -> Text {
    let sum = total(view);
    let sum = if sum.is_empty() { "no findings".to_owned() } else { sum };
    let skipped = view.skipped.len();
    let skips = match skipped {
        0 => String::new(),
        1 => "; 1 check of nodes did not run".to_owned(),
        many => format!("; {many} checks of nodes did not run"),
    };
    let style = match view.exit {
        Exit::Clean => PLAIN,
        Exit::Findings => style_of(Severity::Error),
        Exit::Failure | Exit::Incomplete => style_of(Severity::Warning),
    };
    Text::new().field(BOLD, &format!("{sum}{skips}.")).field(style, &format!("exit {}", view.exit.code()))
}
