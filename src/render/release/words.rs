//! The one table of words for what a release says: refusals by each rule, what allows a step, notes.
//!
//! The texts are read by people and compared by scripts; nobody else makes one. Foreign names come in as they are and
//! have no `Display` as soon as they are a sentence.

use std::collections::BTreeSet;

use crate::checks::addresses::{address_awaited, duplicate_pod_address, leaked_address};
use crate::checks::blocks::invalid_block;
use crate::checks::datastore::{datastore_went_back, etcd_alarm, undecodable_value};
use crate::checks::handles::orphaned_handle;
use crate::model::foreign::foreign;
use crate::model::{Code, EtcdAlarm, Foreign, keys::IPAM_CONFIG};
use crate::plan::circumstances::{
    Claimer, Fork, Ground, HolderNow, KernelUse, LeakProof, Nameless, NodeDoubt, NodeUnknown, PodChange, PodDoubt,
    Proven, Recurring, Special,
};
use crate::plan::refusal::{Drift, Hands, NothingBack, Objection, Obstacle, Refusal};
use crate::plan::rules::more_audits;
use crate::plan::waiting::allowed_from;

/// The check of what is released as leaked.
pub(super) const LEAKED: Code = leaked_address::CHECK.code;

/// One sentence for people.
pub fn refusal(refusal: &Refusal) -> Foreign {
    let mut words = timeless(&refusal.objection);
    if let Some(from) = allowed_from(&refusal.objection) {
        words.push_str(&format!(" (after {from})"));
    }
    match &refusal.of_handle {
        // Who asked for a handle finds it in every reason.
        Some(handle) => format!("{words} (handle {})", handle.raw()).into(),
        None => words.into(),
    }
}

/// The sentence without the moment from which on it may be allowed.
pub(super) fn timeless(objection: &Objection) -> String {
    use Objection as O;
    match objection {
        O::Alarm(raised) => alarm(raised),
        O::Unpaired(why) => {
            format!("nobody knows that this API server and this datastore belong together: {}", why.raw())
        }
        O::NodesUnread => "Kubernetes' nodes could not be read, so nobody knows whose the addresses are".to_owned(),
        O::Nameless(why) => format!("what is released could not be recorded: {}", nameless(why)),
        O::Forked(how) => format!("the datastore was restored or replaced since it was observed ({})", fork(how)),
        O::InputMissing(input, state, detail) => {
            let why = if detail.is_empty() { state.word() } else { detail.raw() };
            format!("{} could not be read completely: {why}", input.word())
        }
        O::Undecoded(first, more) => {
            let first = first.raw();
            let (these, do_not) = match more {
                0 => (first.to_owned(), "does not decode"),
                more => (format!("{first} and {more} more"), "do not decode"),
            };
            format!("{these} {do_not}, and may hide a holder ({})", undecodable_value::CHECK.code)
        }
        O::LeadsNowhere(first, more) => {
            let first = first.raw();
            let more = if *more == 0 { String::new() } else { format!(" and {more} more blocks") };
            let code = invalid_block::CHECK.code;
            format!("{first}{more}: an allocation leads nowhere, so nobody knows whose it is ({code})")
        }
        O::ClockBehind { ours, last_audit } => {
            format!("this machine's clock ({ours}) is behind the last audit ({last_audit})")
        }
        O::ClocksApart { pair, most } => {
            let (ours, theirs, most) = (pair.ours, pair.theirs, most.as_secs());
            format!("this machine's clock ({ours}) and the API server's ({theirs}) are more than {most}s apart")
        }
        O::ClockUntold => "the API server did not tell its time".to_owned(),
        O::Locked => "the datastore is locked (datastoreReady is not true): somebody migrates or repairs it".to_owned(),
        O::NoEarlierAudit => "no earlier audit says how many addresses are newly leaked".to_owned(),
        O::Surge(surge) => {
            let (newly, all, place) = (surge.newly_leaked, surge.allocations, surge.place.raw());
            format!("a sudden mass leak: {newly} of {all} allocations of {place} are leaked since the last audit")
        }
        O::LockedMeanwhile => "the datastore is locked".to_owned(),
        O::SettingsUndecoded(why) => format!("{IPAM_CONFIG}: {}", why.raw()),
        O::HandleUndecoded(why) => format!("its handle: {}", why.raw()),
        O::BlockUndecoded(block, why) => format!("block {block}: {}", why.raw()),
        O::PlanOfAnother(what) => format!("the plan was made for {}", what.raw()),
        O::OtherPair => "it was released in another datastore, or for another Kubernetes cluster".to_owned(),
        O::ForkedSince(how) => {
            format!("the datastore was restored or replaced since the release ({})", fork(how))
        }

        O::Unproven => format!("it is not proven leaked ({})", leaked_address::CHECK.code),
        O::Held(HolderNow { who, grade }) => format!("{} is a {} holder", claimer(who).raw(), grade.word()),
        O::Unseen(node, why) => format!(
            "whether the kernel of {} holds it is not known, {}: capture it again, or go without --node-evidence",
            node.raw(),
            why.raw()
        ),
        O::EndpointHas(endpoint) => format!("endpoint {} has it, and its pod is not proven gone", endpoint.raw()),
        O::EndpointOn { endpoint, node, doubt } => {
            format!("endpoint {} has it: {}", endpoint.raw(), node_doubt(node.raw(), doubt))
        }
        O::Node(node, doubt) => node_doubt(node.raw(), doubt),
        O::NotOrphaned => format!(
            "it is not proven orphaned ({}): an endpoint has its container, or a value does not decode",
            orphaned_handle::CHECK.code
        ),
        O::Shadowed(key) => format!("block {} names it too, and another block of the same range is in use", key.raw()),
        O::HeldNow(address, HolderNow { who, grade }) => format!(
            "{address} is held by {} ({}): putting it back would give it to two ({})",
            claimer(who).raw(),
            grade.word(),
            duplicate_pod_address::CHECK.code
        ),

        O::TooYoung(what) => format!("it needs {}", more_audits(*what)),
        O::TooYoungInAnyCase(what) => {
            format!(
                "it needs {} in any case: its id comes again, and --skip-age does not waive this",
                more_audits(*what)
            )
        }
        O::Unwatched => "no audit finds this, so its age is for you to judge".to_owned(),
        O::NoHistory(absent) => {
            let none = match absent {
                Some(path) => format!("there is no history at {} yet", path.raw()),
                None => "the history has no audit of this cluster".to_owned(),
            };
            format!("{none}, so nobody knows how old anything is")
        }

        O::PodChanged(PodChange::MayHold) => "read again right now: its pod may hold it now".to_owned(),
        O::PodChanged(PodChange::Anew) => "read again right now: a pod of this name was created meanwhile".to_owned(),
        O::NotReadAgain(doubt) => {
            format!("it could not be read again right now: {}", pod_doubt(doubt, "it names no pod"))
        }
        O::FilesAgain => "Kubernetes was read from files, and a release needs the live API".to_owned(),
        O::PodUnanswered(pod, why) => {
            format!("pod {} could not be read again right now: {}", pod.raw(), why.raw())
        }
        O::PodGone(pod) => format!("pod {} is gone now: judge anew", pod.raw()),
        O::PodOther(pod) => format!("pod {} is another one or changed meanwhile", pod.raw()),
        O::NodeUnanswered(node, why) => {
            format!("node {} could not be read again right now: {}", node.raw(), why.raw())
        }
        O::NodeOther(node) => format!("node {} is not what it was any more", node.raw()),

        O::NotAll { failing, all } => format!("{failing} of its {all} addresses may not be released, so none is"),
        O::NoWayBack(block, obstacle) => {
            let why = match obstacle {
                Obstacle::NoPool => "no pool covers it with blocks of that size any more",
                Obstacle::Overlapped => "another block overlaps it",
                Obstacle::Claimed => "a node has claimed it",
            };
            format!("block {block} was deleted and cannot come back: {why}")
        }

        O::Special(what) => {
            let way = if what.is_never() { "" } else { "; it goes alone, by your word that you know what it is" };
            format!("it is {}{way}", special(what))
        }
        O::IdComesAgain(whose) => format!(
            "it is {}, whose id comes again; it goes alone, by your word that you know what it is",
            recurring(*whose)
        ),
        O::ByHand { code, advice, .. } => format!("release does not take {code}: {}", advice.raw()),
        O::OneAtATime => "--i-know-what-this-is goes with exactly one --address or --handle".to_owned(),

        O::Uneditable(None, why) => why.raw().to_owned(),
        O::Uneditable(Some(block), why) => format!("{block}: {}", why.raw()),

        O::Drifted(how) => format!("it is not as it was when the plan was made: {}", drift(*how)),
        O::ChangedHands(hands) => format!("changed hands: {}", changed(hands)),
        O::MoreBlocks => "it names more and more blocks".to_owned(),
        O::WrittenOver(times) => format!("somebody else wrote these keys {times} times meanwhile: try again later"),
        O::UnderWay => "it is still under way".to_owned(),
        O::OutcomeUnknown => "its outcome is not known".to_owned(),
        O::Undone => "it was undone already".to_owned(),
        O::NothingBack(NothingBack::WroteNothing) => "it wrote nothing".to_owned(),
        O::NothingBack(NothingBack::NoAddress) => {
            "no address was released: an ADD creates its handle anew, nothing is to be put back".to_owned()
        }
        O::NothingBack(NothingBack::Unreadable(block, why)) => {
            format!("block {block} as it was recorded: {}", why.raw())
        }
    }
}

fn alarm(alarm: &EtcdAlarm) -> String {
    let (kind, who, code) = (&alarm.kind, alarm.who(), etcd_alarm::CHECK.code);
    match alarm.kind.as_str() {
        EtcdAlarm::CORRUPT => format!(
            "etcd has the alarm CORRUPT ({who}): its members differ, it refuses every write, and what it says may be \
             wrong ({code})"
        ),
        EtcdAlarm::NOSPACE => format!(
            "etcd has the alarm NOSPACE ({who}): it is full and refuses every write, Calico's too, until it is \
             compacted, defragmented and disarmed ({code})"
        ),
        _ => format!("etcd has the alarm {kind} ({who}) ({code})"),
    }
}

/// Why the datastore has no name to record something under.
pub fn nameless(why: &Nameless) -> String {
    match why {
        Nameless::NoGuid => "the datastore has no ClusterInformation with a GUID".to_owned(),
        Nameless::Unread(why) => {
            format!("its ClusterInformation, which holds the datastore's name, was not read: {}", why.raw())
        }
        Nameless::NoCluster => "neither Kubernetes nor the history says which cluster this is".to_owned(),
    }
}

fn fork(fork: &Fork) -> String {
    let code = datastore_went_back::CHECK.code;
    match fork {
        Fork::OtherCluster => "another etcd cluster than at the last audit".to_owned(),
        Fork::WentBack { now, then } => format!("etcd's revision is {now} and was {then} at the last audit"),
        Fork::Found(summary) => format!("{code}: {}", summary.shown()),
        Fork::AtLastAudit => {
            format!("{code} at the last audit, and none has looked since: one more has to")
        }
        Fork::SinceRelease => code.to_string(),
    }
}

/// Who makes a claim.
pub fn claimer(who: &Claimer) -> Foreign {
    match who {
        Claimer::Kernel(node, interface, KernelUse::Routed) => {
            foreign!("node {}, whose kernel routes it to interface {}", node, interface)
        }
        Claimer::Kernel(node, interface, KernelUse::OfHost) => match interface.is_empty() {
            true => foreign!("node {} itself", node),
            false => foreign!("node {} itself, on interface {}", node, interface),
        },
        Claimer::Kernel(node, interface, KernelUse::Inside(pod)) => {
            let of = match pod.some() {
                Some(pod) => foreign!("the network namespace of {}", pod),
                None => "a network namespace of no endpoint".into(),
            };
            match interface.is_empty() {
                true => foreign!("{} on node {}", of, node),
                false => foreign!("{} on node {}, behind interface {}", of, node, interface),
            }
        }
        Claimer::Pod(namespace, name) => foreign!("pod {}/{}", namespace, name),
        Claimer::Endpoint(namespace, name) => foreign!("endpoint {}/{}", namespace, name),
        Claimer::Tunnel(tunnel, node) => foreign!("{} tunnel of node {}", tunnel.word(), node),
        Claimer::Service(namespace, name) => foreign!("service {}/{}", namespace, name),
        Claimer::HostEndpoint => "a host endpoint".into(),
        Claimer::Handle(id) => foreign!("handle {}", id),
    }
}

/// Fits after "it is".
fn special(special: &Special) -> String {
    match special {
        Special::Tunnel => "a tunnel's address".to_owned(),
        Special::Windows => "reserved for Windows".to_owned(),
        Special::Reserved => "kept back by an operator's own reservation".to_owned(),
        Special::LoadBalancer => "a LoadBalancer service's address".to_owned(),
        Special::Machine => "a KubeVirt machine's, which keeps it while it is stopped".to_owned(),
        Special::Cooling => "released already and cooling down".to_owned(),
        Special::Unattributed => "an allocation that names no owner".to_owned(),
        Special::UnknownType => "an allocation of a type that ipaudit does not know".to_owned(),
        Special::ForeignNode(node) => {
            format!("of node {}, which is not this cluster's or has no k8s orchRef", node.raw())
        }
        Special::TwoBlocks(blocks) => format!("in more than one block: {}", Foreign::joined(blocks, ", ").raw()),
        Special::Awaited(namespace, pod) => {
            let code = address_awaited::CHECK.code;
            format!("its predecessor's, for which pod {}/{} waits ({code})", namespace.raw(), pod.raw())
        }
    }
}

/// Fits after "it is".
const fn recurring(whose: Recurring) -> &'static str {
    match whose {
        Recurring::Tunnel => "a tunnel's handle",
        Recurring::Machine => "a KubeVirt machine's handle",
        Recurring::LoadBalancer => "a LoadBalancer service's handle",
        Recurring::Windows => "the handle of Windows' reservations",
        Recurring::Other => "no container's handle (<network>.<container id>)",
    }
}

/// `nameless`: what is said of who names no pod.
pub(super) fn pod_doubt<'d>(doubt: &'d PodDoubt, nameless: &'d str) -> &'d str {
    match doubt {
        PodDoubt::NamesNone => nameless,
        PodDoubt::Failed(why) => why.raw(),
    }
}

fn node_doubt(node: &str, doubt: &NodeDoubt) -> String {
    match doubt {
        NodeDoubt::GoneSince(since) => format!("node {node} is known gone only since {since}: less than 1h"),
        NodeDoubt::GoneUnknownSince => format!("node {node} is gone, and nobody knows since when"),
        NodeDoubt::NotReady => format!("node {node} is not Ready, so its pods may still run"),
        NodeDoubt::Unknown(why) => format!("nobody knows how node {node} is: {}", node_unknown(*why)),
    }
}

pub(super) const fn node_unknown(why: NodeUnknown) -> &'static str {
    match why {
        NodeUnknown::Lost => {
            "Kubernetes no longer knows it; once its Calico Node is deleted (calicoctl delete node), it counts as gone an hour \
             later"
        }
        NodeUnknown::NeverOurs => {
            "it is gone, and no audit has seen it as this cluster's; that its machine is off, --node-is-off says"
        }
        NodeUnknown::Foreign => "it is not known to be this cluster's",
    }
}

/// What is not the same thing any more.
pub(super) fn changed(hands: &Hands) -> String {
    match hands {
        Hands::BlockGone(block) => format!("block {block} is gone"),
        Hands::OtherAllocation(address) => format!("{address} is not the same allocation any more"),
        Hands::MoreOfHandle(block) => format!("the handle has another address of {block}"),
        Hands::Written(name) => format!("{} was written meanwhile", name.raw()),
        Hands::TakenUp(block) => format!("block {block} has an address of it now"),
    }
}

/// How a key of a plan from a file has moved.
pub(super) fn drift(how: Drift) -> String {
    match how {
        Drift::Gone => "it is gone".to_owned(),
        Drift::Appeared(now) => format!("it did not exist, and has mod revision {now} now"),
        Drift::Written { then, now } if then == now => "its value is another at the same mod revision".to_owned(),
        Drift::Written { then, now } => format!("its mod revision was {then} and is {now}"),
        Drift::More => "the plan does not treat it so".to_owned(),
        Drift::Less => "it would be treated otherwise now".to_owned(),
    }
}

/// Why a step is allowed: each reason once.
pub fn grounds(grounds: &[Ground]) -> Foreign {
    grounds.iter().map(ground).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ").into()
}

fn ground(ground: &Ground) -> String {
    let by_word = "by the operator's word (--i-know-what-this-is)";
    match ground {
        Ground::Leaked(Proven { pod, how }) => {
            let code = leaked_address::CHECK.code;
            match how {
                LeakProof::NoSuchPod => format!("pod {pod} does not exist ({code})"),
                LeakProof::Finished(phase) => format!("pod {pod} is finished ({}) ({code})", phase.word()),
                LeakProof::OtherContainer => format!("pod {pod} has another container now ({code})"),
                LeakProof::OlderThanPod => format!("allocated before pod {pod} was created ({code})"),
            }
        }
        Ground::Word(what) => format!("{by_word}: {}", what.as_ref().map(special).unwrap_or_default()),
        Ground::Orphaned(whose) => {
            let code = orphaned_handle::CHECK.code;
            let proof = format!("no block has an address of it, and no endpoint has its container ({code})");
            // A machine that starts meanwhile takes its handle into use.
            let first = if *whose == Some(Recurring::Machine) { "; stop the machine first" } else { "" };
            whose.map_or(proof.clone(), |whose| format!("{by_word}: {}; {proof}{first}", recurring(whose)))
        }
        Ground::Undone(release) => {
            format!("release {release} is undone: the addresses are free still, and nobody holds them")
        }
    }
}

#[cfg(test)]
mod tests;
