//! Refusals by their reason, for people: how many there are of each, when waiting helps, and whom it hits.
//!
//! A thing is told under the first reason that refuses it, which says most; with `--all` under each of its reasons.
//! No sentence is printed twice: what the answer says of a reason, the lines below it do not say again.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::words;
use super::wrap::{write_at, write_text};
use crate::checks::evidence::shell;
use crate::model::{Foreign, Time};
use crate::plan::circumstances::{Fork, NodeDoubt};
use crate::plan::refusal::{Objection, RUN, Refusal};
use crate::plan::rules::more_audits;
use crate::plan::waiting::allowed_from;
use crate::render::age::{age, moment};
use crate::render::number::grouped;

/// Without `--all`: so many things are named of each reason.
const EXAMPLES: usize = 3;
/// Without `--all`: so many keys that moved under a plan from a file.
const DRIFTED: usize = 20;
/// So many reasons fit into the answer.
const IN_THE_ANSWER: usize = 3;

/// Everything that is refused for one reason.
#[derive(Debug)]
struct ReasonGroup<'r> {
    /// Fits after a number of things; [`RUN`]'s own sentence.
    words: String,
    /// When the last of them may be allowed.
    from: Option<Time>,
    /// One a thing.
    refusals: Vec<&'r Refusal>,
}

/// Refusals by their reason, the most frequent first; those of the whole run before all others.
#[derive(Debug)]
pub(super) struct Reasons<'r> {
    reasons: Vec<ReasonGroup<'r>>,
    all: bool,
    now: Time,
    /// Columns; sentences wrap there.
    width: usize,
    nodes: NodeAdvice,
}

/// What is said of nodes that may be switched off.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum NodeAdvice {
    #[default]
    Say,
    /// A plan from a file takes no other word than its maker's.
    PlanAnew,
    /// Notes say it of these already.
    Told(Vec<Foreign>),
}

impl<'r> Reasons<'r> {
    /// `all`: each thing under each of its reasons, and all things of a reason.
    pub(super) fn of(refusals: &'r [Refusal], all: bool, now: Time, width: usize) -> Reasons<'r> {
        let mut reasons: Vec<ReasonGroup<'r>> = Vec::new();
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for refusal in refusals {
            let is_new = told.insert(refusal.subject.raw());
            if !is_new && !all && !of_run(refusal) {
                continue;
            }
            let (words, from) = (of_many(&refusal.objection), allowed_from(&refusal.objection));
            match reasons.iter_mut().find(|r| r.words == words) {
                Some(reason) => {
                    reason.from = reason.from.max(from);
                    reason.refusals.push(refusal);
                }
                None => reasons.push(ReasonGroup { words, from, refusals: vec![refusal] }),
            }
        }
        let first = |r: &ReasonGroup<'_>| r.refusals.first().is_some_and(|r| of_run(r));
        reasons.sort_by_key(|r| (!first(r), usize::MAX - r.refusals.len()));
        Reasons { reasons, all, now, width, nodes: NodeAdvice::Say }
    }

    /// The same with other advice about nodes.
    pub(super) fn with_nodes(self, nodes: NodeAdvice) -> Reasons<'r> {
        Reasons { nodes, ..self }
    }

    /// All of it as one sentence, for the answer.
    pub(super) fn sentence(&self) -> String {
        let marked = self.reasons.len() > 1;
        let said = self.reasons.iter().zip(1..).take(IN_THE_ANSWER);
        let said = said.map(|(r, i)| if marked { format!("({i}) {}", self.head(r)) } else { self.head(r) });
        let mut said: Vec<String> = said.collect();
        let more = self.reasons.len().saturating_sub(IN_THE_ANSWER);
        if more > 0 {
            said.push(format!("{more} more {}", if more == 1 { "reason" } else { "reasons" }));
        }
        said.join("; ")
    }

    /// How many, why, and when that may end; of a single thing its name too.
    fn head(&self, reason: &ReasonGroup<'_>) -> String {
        let when = reason.from.map(|from| self.when(from)).unwrap_or_default();
        match reason.refusals.as_slice() {
            [one] if of_run(one) => format!("{}{when}", said(&one.objection)),
            [one] => {
                let handle = one.of_handle.as_ref().map(|h| format!(" (handle {})", h.raw())).unwrap_or_default();
                format!("{}: {}{when}{handle}", one.subject.raw(), said(&one.objection))
            }
            many => format!("{} {}{when}", grouped(many.len() as u64), reason.words),
        }
    }

    /// ` (after 11:18 UTC, in 20m)`.
    fn when(&self, from: Time) -> String {
        match from > self.now {
            true => format!(" (after {} UTC, in {})", moment(from, self.now), age(from.since(self.now))),
            false => " (now)".to_owned(),
        }
    }

    /// Every reason with the things that it hits. `answered`: the answer has said the sentence above.
    ///
    /// # Errors
    /// As the writer's.
    pub(super) fn write(&self, answered: bool, out: &mut dyn Write) -> io::Result<()> {
        let marked = self.reasons.len() > 1;
        for (i, reason) in self.reasons.iter().enumerate() {
            let in_the_answer = answered && i < IN_THE_ANSWER;
            if !in_the_answer {
                let line = format!("REFUSED {}", self.head(reason));
                write_text(out, self.width, &Foreign::from(line).shown())?;
            }
            let mark = if in_the_answer && marked { format!("({}) ", i + 1) } else { String::new() };
            if reason.refusals.len() > 1 {
                self.things(reason, &mark, out)?;
            }
        }
        self.advice(out)
    }

    fn things(&self, reason: &ReasonGroup<'_>, mark: &str, out: &mut dyn Write) -> io::Result<()> {
        let limit = match reason.refusals.first().map(|r| &r.objection) {
            _ if self.all => usize::MAX,
            Some(Objection::Drifted(_)) => DRIFTED,
            _ => EXAMPLES,
        };
        for refusal in reason.refusals.iter().take(limit) {
            let detail = detail(&refusal.objection).map(|d| format!(": {d}")).unwrap_or_default();
            let handle = refusal.of_handle.as_ref().map(|h| format!(" (handle {})", h.raw())).unwrap_or_default();
            let line = format!("{mark}{}{detail}{handle}", refusal.subject.raw());
            write_at(2, out, self.width, &Foreign::from(line).shown())?;
        }
        match reason.refusals.len().saturating_sub(limit) {
            0 => Ok(()),
            more => writeln!(out, "  {mark}… {more} more; --all names them"),
        }
    }

    /// What helps, each once; commands on a line of their own.
    fn advice(&self, out: &mut dyn Write) -> io::Result<()> {
        use Objection as O;
        let all = || self.reasons.iter().flat_map(|r| &r.refusals).map(|r| &r.objection);
        let mut off: BTreeSet<&str> = BTreeSet::new();
        for objection in all() {
            if let O::Node(node, NodeDoubt::NotReady) | O::EndpointOn { node, doubt: NodeDoubt::NotReady, .. } =
                objection
            {
                off.insert(node.raw());
            }
        }
        for node in off {
            let how = match &self.nodes {
                NodeAdvice::Told(told) if told.iter().any(|other| *other == *node) => continue,
                NodeAdvice::PlanAnew => "make the plan anew with",
                NodeAdvice::Say | NodeAdvice::Told(_) => "say so:",
            };
            let line = format!("if {node} is switched off, {how} --node-is-off {}", shell(node));
            write_text(out, self.width, &Foreign::from(line).shown())?;
        }
        let audits = match () {
            () if all().any(|o| matches!(o, O::TooYoung(_) | O::TooYoungInAnyCase(_))) => {
                "until then let audits look, at least 5 minutes apart"
            }
            () if all().any(|o| matches!(o, O::NoHistory(_))) => "let audits look, at least 5 minutes apart",
            () if all().any(|o| matches!(o, O::Forked(Fork::AtLastAudit))) => "let an audit look",
            () => return Ok(()),
        };
        writeln!(out, "{audits} (connection flags as for this run):")?;
        writeln!(out, "  ipaudit audit")
    }
}

/// The sentence with what would help, where that is a flag of every command.
fn said(objection: &Objection) -> String {
    let help = if *objection == Objection::FilesAgain { " (--kubeconfig)" } else { "" };
    format!("{}{help}", words::timeless(objection))
}

fn of_run(refusal: &Refusal) -> bool {
    refusal.subject == RUN
}

/// The reason without what is a single thing's own; fits after a number of things.
fn of_many(objection: &Objection) -> String {
    use Objection as O;
    match objection {
        O::TooYoung(lacking) => format!("need {}", more_audits(*lacking)),
        O::TooYoungInAnyCase(lacking) => format!("need {} in any case: their ids come again", more_audits(*lacking)),
        O::Unwatched => "are watched by no audit, so their age is for you to judge".to_owned(),
        O::Unproven => format!("are not proven leaked ({})", words::LEAKED),
        O::Held(holder) => format!("have a {} holder", holder.grade.word()),
        O::Unseen(node, why) => format!(
            "are on {}, of whose kernel nobody knows whether it holds them, {}: capture it again, or go without \
             --node-evidence",
            node.raw(),
            why.raw()
        ),
        O::EndpointHas(_) => "have an endpoint whose pod is not proven gone".to_owned(),
        O::EndpointOn { node, doubt, .. } => format!("have an endpoint on {}", doubtful(node.raw(), doubt)),
        O::Node(node, doubt) => format!("are on {}", doubtful(node.raw(), doubt)),
        O::NotAll { .. } => "keep all their addresses, as not all of them may go".to_owned(),
        O::NotReadAgain(doubt) => {
            format!("could not be read again right now: {}", words::pod_doubt(doubt, "they name no pod"))
        }
        O::FilesAgain => format!("cannot go: {}", said(objection)),
        O::PodUnanswered(_, why) => format!("have a pod that could not be read again right now: {}", why.raw()),
        O::PodGone(_) => "have a pod that is gone now: judge anew".to_owned(),
        O::PodOther(_) => "have a pod that is another one or changed meanwhile".to_owned(),
        O::ChangedHands(_) => "changed hands".to_owned(),
        O::Drifted(_) => "keys are not as they were when the plan was made".to_owned(),
        other => format!("for one reason: {}", words::timeless(other)),
    }
}

fn doubtful(node: &str, doubt: &NodeDoubt) -> String {
    match doubt {
        NodeDoubt::GoneSince(_) => format!("{node}, which is not known gone for 1h yet"),
        NodeDoubt::GoneUnknownSince => format!("{node}, which is gone, and nobody knows since when"),
        NodeDoubt::NotReady => format!("{node}, which is not Ready"),
        NodeDoubt::Unknown(why) => format!("{node}, of which nobody knows how it is: {}", words::node_unknown(*why)),
    }
}

/// What is a single thing's own of its reason.
fn detail(objection: &Objection) -> Option<String> {
    match objection {
        Objection::Held(holder) => Some(words::claimer(&holder.who).raw().to_owned()),
        Objection::EndpointHas(endpoint) | Objection::EndpointOn { endpoint, .. } => Some(endpoint.raw().to_owned()),
        Objection::NotAll { failing, all } => Some(format!("{failing} of its {all}")),
        Objection::PodUnanswered(pod, _) | Objection::PodGone(pod) | Objection::PodOther(pod) => {
            Some(pod.raw().to_owned())
        }
        Objection::ChangedHands(hands) => Some(words::changed(hands)),
        Objection::Drifted(how) => Some(words::drift(*how)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
