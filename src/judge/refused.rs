//! What findings advise to release one by one and a release would refuse whatever its age: it is not advised.
//!
//! Each is judged as a release judges it ([`super::leak`]), but for its age (rule 4), which the audit knows better
//! ([`super::advised`]), and for the last look at Kubernetes: what was just read is what there is.

use std::collections::HashMap;

use super::case::{Case, Observed};
use super::leak::Judged;
use crate::checks::World;
use crate::checks::addresses::address_allocated_twice;
use crate::checks::evidence::{ask_who, is_release, words};
use crate::model::foreign::foreign;
use crate::model::time::moment;
use crate::model::{
    Addr, AllocationTuple, Code, Finding, FindingKeeper, Foreign, Gist, HandleId, KeptFinding, Names, Observation,
    Patch, SubjectKind, Time,
};
use crate::plan::circumstances::{Claimer, HolderNow, KernelUse, NodeDoubt, NodeUnknown, OperatorWord, Special};
use crate::plan::refusal::Objection;
use crate::plan::rules::WHEN_SEEN;
use crate::plan::waiting::allowed_from;

/// Said where a release is not advised.
const NODE: &str = "a release is let through when its node is Ready again, or known to be gone for an hour, and three \
    audits have seen it since";
const GONE: &str = "a release is let through when its node is known to be gone for an hour";
/// No waiting helps while Calico still has the node.
const LOST: &str = "a release is let through when its node is known to be gone for an hour: Kubernetes no longer knows it, so \
    delete its Calico Node first (calicoctl delete node)";
/// Waiting does not help: only the history, or the operator, tells this cluster's gone node from another cluster's.
const STRANGER: &str = "no audit has seen its node as this cluster's: a release wants your word that the machine is off \
    (--node-is-off)";
const HELD: &str = "no release is let through while somebody may hold it";
const UNSEEN: &str = "no release is let through with evidence of its node that does not count, or not in all: capture again, \
    or go without it";
const UNPROVEN: &str = "no release is let through: it is not proven leaked";
const FILES: &str = "a release needs the live API (--kubeconfig)";
const UNEDITABLE: &str = "no release is let through: its block cannot be edited as it was read";
const NO_HANDLE: &str = "no release is let through: its handle does not decode";
const OTHER: &str = "no release is let through as it is";

/// Takes such commands out of the findings, and says why. `exclusive`: the operator said, now or at an audit, that no
/// other cluster uses the datastore. `is_judged`: of which findings that is asked.
pub fn take_out(world: &World<'_>, findings: &mut [KeptFinding], exclusive: bool, is_judged: impl Fn(&Gist) -> bool) {
    let before = Patch::default();
    let mut by = By { world, before: &before, observed: None, exclusive, live: true, known: HashMap::new() };
    let mut keeper = FindingKeeper::default();
    let judged = findings.iter_mut().filter(|finding| is_judged(finding) && releases(finding));
    judged.for_each(|finding| keeper.change(finding, |finding| by.take_out_of(finding)));
}

/// The same of findings whose age is asked for too, of the history itself, as a release does (rule 4). `live`: Kubernetes
/// can be asked anew.
pub fn take_out_unaged(
    world: &World<'_>,
    findings: &mut [KeptFinding],
    observed: &dyn Observed,
    exclusive: bool,
    live: bool,
) {
    let before = Patch::default();
    let mut by = By { world, before: &before, observed: Some(observed), exclusive, live, known: HashMap::new() };
    let mut keeper = FindingKeeper::default();
    findings.iter_mut().for_each(|finding| keeper.change(finding, |finding| by.take_out_of(finding)));
}

/// By what is judged.
struct By<'w> {
    world: &'w World<'w>,
    before: &'w Patch,
    /// `None`: the age is judged elsewhere.
    observed: Option<&'w dyn Observed>,
    exclusive: bool,
    live: bool,
    /// Of each command why it is taken out: an endpoint, its twins and each address of a handle say the same one.
    known: HashMap<String, Option<WhyNot>>,
}

/// Why a command would be refused.
#[derive(Clone)]
struct WhyNot {
    words: String,
    /// Shows what must be done first.
    first: Option<String>,
}

impl By<'_> {
    /// Whether anything was.
    fn take_out_of(&mut self, finding: &mut Finding) -> bool {
        let mut why = None;
        finding.next.retain(|command| {
            let objection = self.why_not(command.raw());
            let stays = objection.is_none();
            why = why.take().or(objection);
            stays
        });
        let Some(WhyNot { words, first }) = why else { return false };
        let is_new = |command: &String| finding.next.iter().all(|next| next.raw() != command);
        let first = first.filter(is_new);
        finding.next.extend(first.map(Foreign::from));
        say_why(finding, &words);
        true
    }

    /// Why a command would be refused.
    fn why_not(&mut self, command: &str) -> Option<WhyNot> {
        if !is_release(command) {
            return None;
        }
        if let Some(known) = self.known.get(command) {
            return known.clone();
        }
        let objection = wanted(&self.world.snapshot.names, command).and_then(|wanted| wanted.objection(self));
        let why = objection.map(|objection| WhyNot {
            words: words_of(&objection, self.world.snapshot.now),
            first: first_of(&objection),
        });
        self.known.insert(command.to_owned(), why.clone());
        why
    }
}

/// Says last of a finding why a release is not among its commands. Nothing is left without any: what can only be looked at is.
pub(super) fn say_why(finding: &mut Finding, why: &str) {
    finding.advice = match finding.advice.raw() {
        "" => why.into(),
        then => format!("{then}; {why}").into(),
    };
    if finding.next.is_empty() {
        finding.next.push(look_at(finding).into());
    }
}

/// The command that shows what a finding is about.
fn look_at(finding: &Finding) -> String {
    match finding.subject.kind {
        SubjectKind::Address | SubjectKind::Handle | SubjectKind::Pod | SubjectKind::Node => {
            ask_who(finding.subject.id.raw())
        }
        _ => format!("ipaudit audit --code {} --all", finding.code),
    }
}

/// What no audit has seen before is judged too: nobody is to wait for what no waiting lets through.
fn releases(finding: &KeptFinding) -> bool {
    finding.open().next.iter().any(|command| is_release(command.raw()))
}

/// Of a node that Calico still has the command that deletes it stands beside what is wrong with the node.
fn first_of(objection: &Objection) -> Option<String> {
    match objection {
        Objection::Node(node, NodeDoubt::Unknown(NodeUnknown::Lost))
        | Objection::EndpointOn { node, doubt: NodeDoubt::Unknown(NodeUnknown::Lost), .. } => Some(ask_who(node.raw())),
        _ => None,
    }
}

fn words_of(objection: &Objection, now: Time) -> String {
    let doubt = match objection {
        Objection::Node(_, doubt) | Objection::EndpointOn { doubt, .. } => Some(*doubt),
        _ => None,
    };
    if let Objection::Held(HolderNow { who: Claimer::Kernel(node, interface, how), .. }) = objection {
        return kernel_words(node, interface, how).raw().to_owned();
    }
    let words = match (doubt, objection) {
        (Some(NodeDoubt::Unknown(NodeUnknown::NeverOurs)), _) => STRANGER,
        (Some(NodeDoubt::Unknown(NodeUnknown::Lost)), _) => LOST,
        (Some(NodeDoubt::GoneSince(_)), _) => GONE,
        (Some(_), _) => NODE,
        (_, Objection::Held(_) | Objection::EndpointHas(_) | Objection::HeldNow(..)) => HELD,
        (_, Objection::Unseen(..)) => UNSEEN,
        (_, Objection::Unproven) => UNPROVEN,
        (_, Objection::FilesAgain) => FILES,
        (_, age) if is_of_age(age) => WHEN_SEEN,
        (_, Objection::Special(Special::TwoBlocks(_))) => {
            return format!(
                "no release is let through: two blocks have the address ({})",
                address_allocated_twice::CHECK.code
            );
        }
        (_, Objection::NotAll { failing, all }) => {
            return format!("no release is let through: of the {all} addresses of its handle {failing} may be held");
        }
        (_, Objection::Shadowed(key)) => {
            return format!("no release is let through: another block, under {}, has its handle too", key.raw());
        }
        (_, Objection::Uneditable(..) | Objection::BlockUndecoded(..)) => UNEDITABLE,
        (_, Objection::HandleUndecoded(_)) => NO_HANDLE,
        _ => OTHER,
    };
    // Of the audits that are lacking something else says when.
    let from = doubt.and_then(|_| allowed_from(objection)).map(|from| format!(" (after {} UTC)", moment(from, now)));
    format!("{words}{}", from.unwrap_or_default())
}

/// Of a node's kernel that has it who looks further wants to know where.
fn kernel_words(node: &Foreign, interface: &Foreign, how: &KernelUse) -> Foreign {
    const NONE: &str = "no release is let through";
    let behind = match interface.is_empty() {
        true => Foreign::default(),
        false => foreign!(", interface {}", interface),
    };
    match how {
        KernelUse::Routed => foreign!("{NONE}: node {} routes it to interface {}", node, interface),
        KernelUse::Inside(pod) if !pod.is_empty() => {
            foreign!("{NONE}: {} has it inside on node {}{}", pod, node, behind)
        }
        KernelUse::OfHost => foreign!("{NONE}: node {} has it itself{}", node, behind),
        KernelUse::Inside(_) => foreign!("{NONE}: a network namespace on node {} has it{}", node, behind),
    }
}

/// The handles and addresses that a command releases, and the operator's word in it.
pub(super) struct AdvisedRelease {
    pub(super) handles: Vec<HandleId>,
    pub(super) addresses: Vec<Addr>,
    pub(super) word: OperatorWord,
}

/// `None`: it releases by code, or spells a name out.
pub(super) fn wanted(names: &Names, command: &str) -> Option<AdvisedRelease> {
    let parts = words(command);
    let (["ipaudit", "release"], flags) = parts.split_first_chunk::<2>()? else { return None };
    let mut wanted = AdvisedRelease { handles: Vec::new(), addresses: Vec::new(), word: OperatorWord::default() };
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (flag, inside) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (*flag, None),
        };
        let mut value = || inside.or_else(|| flags.next().copied());
        match flag {
            "--handle" => {
                let id = plain(value()?)?.replace("\\,", ",");
                wanted.handles.push(HandleId::find(names, &id)?);
            }
            "--address" => wanted.addresses.push(value()?.parse().ok()?),
            "--i-know-what-this-is" => wanted.word.knows = true,
            "--skip-age" => wanted.word.skip_age = true,
            _ => return None,
        }
    }
    Some(wanted)
}

/// A word without the quotes that `shell` gives it; `None`: it is spelled out for `printf`.
fn plain(word: &str) -> Option<String> {
    match word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(quoted) => Some(quoted.replace(r"'\''", "'")),
        None => (!word.contains(['"', '$', '\''])).then(|| word.to_owned()),
    }
}

impl AdvisedRelease {
    /// Why it would be refused; the first reason.
    fn objection(&self, by: &By<'_>) -> Option<Objection> {
        let is_aged = by.observed.is_some();
        let word = OperatorWord { skip_age: self.word.skip_age || !is_aged, ..self.word.clone() };
        let (world, before, exclusive) = (*by.world, by.before, by.exclusive);
        let observed = by.observed.unwrap_or(&Unasked);
        let case = Case { world, before, live: by.live, observed, word: &word, exclusive };
        let handles = self.handles.iter().map(|id| case.handle(*id));
        let judged = handles.chain(self.addresses.iter().map(|address| case.address(*address)));
        let refused = judged.filter_map(|judged| match judged {
            Judged::Refused(refusals, _) => Some(refusals),
            Judged::Go(_) | Judged::Nothing(_) => None,
        });
        refused.flatten().map(|refusal| refusal.objection).find(|objection| is_aged || !is_of_age(objection))
    }
}

/// Rule 4.
fn is_of_age(objection: &Objection) -> bool {
    matches!(
        objection,
        Objection::TooYoung(_) | Objection::TooYoungInAnyCase(_) | Objection::Unwatched | Objection::NoHistory(_)
    )
}

/// Nobody asks how often something was seen.
struct Unasked;

impl Observed for Unasked {
    fn handle(&self, _: &str, _: u128) -> Option<Observation> {
        None
    }

    fn address(&self, _: Code, _: &AllocationTuple, _: &str) -> Option<Observation> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::leaked_address;
    use crate::checks::run;
    use crate::checks::testing::Cluster;
    use crate::ledger::Ledger;
    use crate::model::{OpenFindings, PastFinding};

    /// web-0 is gone, its endpoint and its address are left; an audit has seen all of it.
    fn leaked() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remember();
        c
    }

    /// How many releases are advised, and the leak's advice.
    fn advised(c: &mut Cluster) -> (usize, String) {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
        let mut outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() });
        let mut past = c.past.take().unwrap_or_default();
        past.open = OpenFindings::default();
        for f in &outcome.findings {
            let known = PastFinding::seen_once(snapshot.now, 1, snapshot.now);
            past.open.insert(f.code, f.subject.kind, f.subject.id.raw(), known);
        }
        let world = World { snapshot: &snapshot, ledger: &ledger, past: Some(&past) };
        take_out(&world, &mut outcome.findings, false, |_| true);
        let releases = outcome.opened().flat_map(|f| f.next).filter(|command| is_release(command.raw()));
        let leak = outcome.opened().find(|f| f.code == leaked_address::CHECK.code);
        (releases.count(), leak.map(|leak| leak.advice.raw().to_owned()).unwrap_or_default())
    }

    #[test]
    fn what_a_release_lets_through_is_advised() {
        let (releases, advice) = advised(&mut leaked());
        assert!(releases > 0 && advice.is_empty(), "{releases} {advice}");
    }

    #[test]
    fn nothing_is_advised_on_a_node_that_is_not_ready() {
        let mut c = leaked();
        c.snapshot.kube_nodes.iter_mut().for_each(|node| node.ready = Some(false));
        assert_eq!(advised(&mut c), (0, NODE.to_owned()));
    }

    #[test]
    fn of_a_node_that_calico_still_has_it_is_said_what_comes_first() {
        let mut c = leaked();
        c.past.as_mut().unwrap().known_nodes.insert("node-1".to_owned());
        c.remove_kube_node("node-1");
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
        let world = World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() };
        let mut outcome = run(&world);
        take_out(&world, &mut outcome.findings, false, |_| true);
        let leak = outcome.opened().find(|f| f.code == leaked_address::CHECK.code).unwrap();
        let next: Vec<&str> = leak.next.iter().map(Foreign::raw).collect();
        assert!(leak.advice.has(&LOST.into()) && next.contains(&"ipaudit who node-1"), "{leak:?}");
    }

    #[test]
    fn of_an_address_in_two_blocks_the_cause_is_said() {
        let mut c = leaked();
        c.block("10.65.0.0/28", Some("node-2"));
        c.snapshot.blocks.sort_by_key(|block| (block.cidr.first(), block.cidr.prefix()));
        let attribute = c.pod_attribute("k8s-pod-network.x", "shop", "x", "node-2");
        let small = c.block_mut("10.65.0.0/28");
        (small.allocations[1], small.attributes) = (Some(0), [attribute.into()].into());
        let why = "no release is let through: two blocks have the address (IPA104)";
        assert_eq!(advised(&mut c), (0, why.to_owned()));
    }

    /// A first audit has nobody wait for what no waiting lets through.
    #[test]
    fn what_no_audit_has_seen_is_not_promised_either() {
        let mut c = leaked();
        c.past = None;
        c.snapshot.kube_nodes.iter_mut().for_each(|node| node.ready = Some(false));
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let mut outcome = run(&world);
        take_out(&world, &mut outcome.findings, false, |_| true);
        let leak = outcome.findings.iter().find(|f| f.code == leaked_address::CHECK.code).unwrap().open();
        assert_eq!((leak.advice.raw(), leak.next.iter().any(|c| is_release(c.raw()))), (NODE, false));
    }

    #[test]
    fn words_lose_their_quotes() {
        assert_eq!(plain("a.b").as_deref(), Some("a.b"));
        assert_eq!(plain(r"'it'\''s a'").as_deref(), Some("it's a"));
        assert_eq!(plain("\"$(printf 'a\\n')\""), None);
        assert_eq!(plain("$'a\\n'"), None);
    }

    #[test]
    fn what_is_released_by_code_is_judged_when_it_is_chosen() {
        let mut c = leaked();
        let snapshot = c.snapshot();
        let of = |command: &str| {
            wanted(&snapshot.names, command).map(|w| (w.handles.len(), w.addresses.len(), w.word.knows))
        };
        assert_eq!(of("ipaudit release --code IPA110 --older-than 24h"), None);
        assert_eq!(of("ipaudit who 10.65.0.1"), None);
        assert_eq!(of("ipaudit release --address 10.65.0.1 --i-know-what-this-is --skip-age"), Some((0, 1, true)));
        let handle = Cluster::handle_id("shop", "web-0");
        assert_eq!(of(&format!("ipaudit release --handle {handle}")), Some((1, 0, false)));
        assert_eq!(of(&format!("ipaudit release --handle={handle}")), Some((1, 0, false)));
    }
}
