//! What was not read, each cause once with everything that it hits: silence of it proves nothing.

use super::dossier::Dossier;
use crate::checks::Outcome;
use crate::checks::datastore::undecodable_value;
use crate::model::foreign::foreign;
use crate::model::{Foreign, Input, InputState, Snapshot};

/// Inputs that are not there for one reason.
struct MissingInputs {
    state: InputState,
    detail: Foreign,
    hint: Foreign,
    inputs: Vec<Input>,
}

impl MissingInputs {
    /// `pods, nodes and services`.
    fn names(&self) -> String {
        let words: Vec<&str> = self.inputs.iter().map(|input| input.word()).collect();
        match words.split_last() {
            Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
            _ => words.concat(),
        }
    }

    /// Who did not give them, where that is one, and whether that is all that it was asked for.
    fn source(&self) -> Option<(&'static str, bool)> {
        let is_whole = |of: fn(Input) -> bool| {
            Input::ALL.into_iter().filter(|input| is_asked(*input) && of(*input)).all(|i| self.inputs.contains(&i))
        };
        // What nodes say comes by the logs of their pods.
        let by_api = |input: &Input| input.is_kubernetes() || *input == Input::NodeEvidence;
        if self.inputs.iter().all(by_api) {
            return Some(("Kubernetes", is_whole(Input::is_kubernetes)));
        }
        let is_etcds = self.inputs.iter().all(|input| !by_api(input));
        is_etcds.then(|| ("etcd", is_whole(Input::is_calicos)))
    }

    /// Whether it is what files say of nodes, and not what the API server has of their pods' logs.
    fn is_of_captures(&self) -> bool {
        self.inputs == [Input::NodeEvidence] && !self.detail.raw().starts_with("pods:")
    }

    /// The reason given, else the state's word; and what to do about it, a question right behind what it asks about.
    fn why(&self) -> Foreign {
        let why = self.detail.some().cloned().unwrap_or_else(|| self.state.word().into());
        match self.hint.some().filter(|hint| !why.has(hint)) {
            None => why,
            Some(hint) if hint.raw().ends_with('?') => foreign!("{}: {}", why, hint),
            Some(hint) => foreign!("{}; {}", why, hint),
        }
    }

    /// Whether this input is not there for the same reason: a server that refuses us does it to each with its own words.
    fn is_of(&self, state: InputState, detail: &Foreign, hint: &Foreign, input: Input) -> bool {
        let is_one_side = || self.inputs.iter().all(|known| known.is_kubernetes() == input.is_kubernetes());
        let is_one_refusal =
            || state == InputState::Forbidden && !hint.is_empty() && self.hint == *hint && is_one_side();
        self.state == state && (self.detail == *detail || is_one_refusal())
    }
}

fn gaps(snapshot: &Snapshot, counts: impl Fn(Input) -> bool) -> Vec<MissingInputs> {
    let coverage = &snapshot.coverage;
    let missing = |i: &Input| counts(*i) && !coverage.complete(*i) && !coverage.is_rightly_absent(*i);
    let mut gaps: Vec<MissingInputs> = Vec::new();
    for input in Input::ALL.into_iter().filter(missing) {
        let (state, detail, hint) = (coverage.state(input), coverage.detail(input), coverage.hint(input));
        match gaps.iter_mut().find(|gap| gap.is_of(state, &detail, &hint, input)) {
            Some(gap) => gap.inputs.push(input),
            None => gaps.push(MissingInputs { state, detail, hint, inputs: vec![input] }),
        }
    }
    gaps
}

/// Whether `who` reads it at all.
const fn is_asked(input: Input) -> bool {
    !matches!(input, Input::History | Input::Namespaces)
}

fn undecodable(snapshot: &Snapshot) -> Option<String> {
    let code = undecodable_value::CHECK.code;
    match snapshot.bad_values.len() {
        0 => None,
        1 => Some(format!("1 value does not decode ({code})")),
        n => Some(format!("{n} values do not decode ({code})")),
    }
}

/// Of the nodes of this dossier what their evidence does not tell; of all where the coverage says it already.
pub fn of_nodes(snapshot: &Snapshot, dossier: &Dossier) -> Vec<Foreign> {
    if !snapshot.coverage.complete(Input::NodeEvidence) {
        return Vec::new();
    }
    let words = |node: &Foreign, doubts: &[Foreign]| {
        (!doubts.is_empty())
            .then(|| foreign!("{} of {}: {}", Input::NodeEvidence.word(), node, Foreign::joined(doubts, "; ")))
    };
    let sheets = dossier.addresses.iter().flat_map(|sheet| &sheet.kernels);
    let nodes = dossier.nodes.iter().filter_map(|sheet| Some((sheet.calico.as_ref()?, sheet.kernel.as_ref()?)));
    let of_nodes = nodes.filter_map(|(node, kernel)| words(node, &kernel.doubts));
    let mut told: Vec<Foreign> = sheets.filter_map(|sheet| words(&sheet.node, &sheet.doubts)).chain(of_nodes).collect();
    told.sort();
    told.dedup();
    told
}

/// All of it, as for an audit.
pub fn unread(snapshot: &Snapshot, outcome: &Outcome) -> Vec<Foreign> {
    let gaps = gaps(snapshot, is_asked);
    let mut unread: Vec<Foreign> = gaps
        .iter()
        .map(|gap| match gap.detail.some() {
            None => format!("{}: {}", gap.names(), gap.state.word()).into(),
            Some(detail) => foreign!("{}: {}, {}", gap.names(), gap.state.word(), detail),
        })
        .collect();
    unread.extend(undecodable(snapshot).map(Foreign::from));
    let skipped = outcome.skipped.iter().filter(|s| s.incomplete).count();
    if skipped > 0 && unread.is_empty() {
        unread.push(format!("{skipped} checks could not run").into());
    }
    unread
}

/// What was not read, below an answer that may have its cause already: then without it.
pub fn below(answer: &Foreign, unread: &Foreign) -> Foreign {
    let text = unread.raw();
    let parts = text.split_once(": ").and_then(|(names, rest)| Some((names, rest.split_once(", ")?)));
    match parts {
        Some((names, (state, why))) if answer.raw().contains(why) => {
            foreign!("{}: {}, as said above", Foreign::from(names), Foreign::from(state))
        }
        _ => unread.clone(),
    }
}

/// For the first line, each with its cause: what could change the answer; `None` when all of that was read.
pub fn said(snapshot: &Snapshot) -> Option<Foreign> {
    // What etcd's members say of themselves is about nobody.
    let gaps = gaps(snapshot, |input| is_asked(input) && input != Input::EtcdStatus);
    let mut said: Vec<Foreign> = gaps
        .iter()
        .map(|gap| {
            let says = match (gap.state, gap.source()) {
                _ if gap.is_of_captures() => "evidence of nodes does not count, or not in all".to_owned(),
                (InputState::Unreachable, Some((source, true))) => format!("{source} did not answer"),
                (InputState::Unreachable, Some((source, false))) => {
                    format!("{source} did not answer for {}", gap.names())
                }
                (InputState::Forbidden, Some((source, _))) => format!("{source} refuses us {}", gap.names()),
                (InputState::Partial, _) => format!("{} were read in part only", gap.names()),
                _ => format!("{} were not read", gap.names()),
            };
            foreign!("{says} ({})", gap.why())
        })
        .collect();
    said.extend(undecodable(snapshot).map(Foreign::from));
    (!said.is_empty()).then(|| Foreign::joined(said, "; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::checks::{World, run_these};
    use crate::ledger::{Ledger, ScopeFlag};
    use crate::who::{Asked, Dossier, Word, now};

    fn asked(c: &mut Cluster, text: &str) -> Dossier {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let word = Word::of(text);
        now(&world, &run_these(&world, &[]), &word, &Asked::of(&ledger, &word)).0
    }

    /// etcd refuses each range in its own words, and the cause is one.
    #[test]
    fn one_refusal_of_many_inputs_is_told_once() {
        let mut c = Cluster::healthy();
        for (input, detail) in
            [(Input::Handles, "cannot read handles: denied"), (Input::Pools, "cannot read pools: denied")]
        {
            c.snapshot.coverage.set(input, InputState::Forbidden, detail);
            c.snapshot.coverage.set_hint(input, "grant it");
        }
        let snapshot = c.snapshot();
        let told = said(&snapshot).unwrap();
        assert_eq!(told, "etcd refuses us handles and pools (cannot read handles: denied; grant it)");
        let unread = unread(&snapshot, &Outcome::default());
        assert_eq!(unread, ["handles and pools: forbidden, cannot read handles: denied"]);
        assert_eq!(below(&told, &unread[0]), "handles and pools: forbidden, as said above");
        assert_eq!(below(&"well".into(), &unread[0]), unread[0]);
    }

    fn blind() -> Cluster {
        let mut c = Cluster::healthy();
        for input in [Input::Pods, Input::KubeNodes, Input::Services] {
            c.snapshot.coverage.set(input, InputState::Unreachable, "connection refused");
        }
        c.snapshot.pods.clear();
        c
    }

    #[test]
    fn the_first_line_is_not_calm_while_blind_and_a_cause_is_told_once() {
        let unread = "BLIND: Kubernetes did not answer (connection refused)";
        let nobody = asked(&mut blind(), "nosuch");
        assert_eq!(nobody.answer, format!("{unread}; nobody knows of nosuch").as_str());
        assert_eq!(nobody.unread, ["pods, nodes and services: unreachable, connection refused"]);
        for what in ["10.65.0.0/26", "10.65.0.1", "10.65.0.60", "node-1"] {
            let answer = asked(&mut blind(), what).answer;
            assert!(answer.raw().starts_with(&format!("{unread}; ")), "{what}: {answer:?}");
        }
    }

    #[test]
    fn what_was_refused_is_told_and_a_part_is_no_nothing() {
        let mut c = Cluster::healthy();
        c.snapshot.coverage.set(Input::Blocks, InputState::Forbidden, "no right");
        let answer = asked(&mut c, "10.65.8.0/26").answer;
        let says = "BLIND: etcd refuses us blocks (no right); the blocks were not read: ";
        assert!(answer.raw().starts_with(says), "{answer:?}");
        let mut c = Cluster::healthy();
        c.snapshot.coverage.set(Input::Pods, InputState::Partial, "cut off");
        let answer = asked(&mut c, "nosuch").answer;
        assert_eq!(answer, "BLIND: pods were read in part only (cut off); nobody knows of nosuch");
        assert_eq!(asked(&mut Cluster::healthy(), "nosuch").answer, "nothing is called nosuch here");
    }
}
