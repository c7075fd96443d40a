//! IPA902: the datastore is locked.

use super::common::is_undecodable;
use super::kubernetes_mismatch;
use crate::checks::evidence::restarts::deletes_pods;
use crate::checks::evidence::writes_datastore;
use crate::checks::prelude::*;
use crate::ledger::Pairing;
use crate::model::{FindingKeeper, Foreign, Input, KeptFinding, keys};

pub static CHECK: Check = Check {
    code: Code(902),
    name: "datastore-locked",
    severity: Severity::Warning,
    needs: Needs::C,
    steady: Steady::OneMoment,
    subject: SubjectKind::Cluster,
    finds: "ClusterInformation is absent, or its `datastoreReady` is anything but true.",
    matters: "CNI ADD and DEL refuse: no pod can start, and none can stop, not even the one that would unlock it. \
        Calico's collector sits still.",
    arises: "`calicoctl datastore migrate lock` before an upgrade, a restore or `calicoctl ipam release \
        --from-report`, and nobody unlocked it; or the object was deleted.",
    action: "Look first whether somebody works on the datastore: `calicoctl get clusterinformation default -o yaml`. When \
        nobody does any more, unlock it: `calicoctl datastore migrate unlock`. Do it before any pod is deleted or restarted, \
        whatever another finding advises: while the datastore is locked the pod stays down. Where the etcd is another cluster's (IPA905) or holds nothing of \
        Calico's, there is nothing to unlock: find the right one. Nothing else is written either while it is locked: whoever \
        migrates it may take that back.",
    silent: "A ClusterInformation that does not decode: IPA901 tells it.",
    ties: Ties { harm: Harm::Outage, ..Ties::ANYBODYS },
    run,
};

/// The command that shows who locked it and when.
const LOOK: &str = "calicoctl get clusterinformation default -o yaml";
/// The command that unlocks it.
const UNLOCK: &str = "calicoctl datastore migrate unlock";

/// Between what comes first and the rest of an advice.
const THEN: &str = "; then ";

/// What an advice puts first, and the rest of it.
pub fn first_and_then(advice: &Foreign) -> Option<(Foreign, Foreign)> {
    advice.raw().split_once(THEN).map(|(first, then)| (first.into(), then.into()))
}

/// The rest of an advice that [`put_first`] has changed; `None`: it has not.
pub fn once_unlocked(advice: &Foreign) -> Option<Foreign> {
    first_and_then(advice).filter(|(first, _)| first.raw().starts_with(UNLOCK_FIRST)).map(|(_, then)| then)
}

/// How an advice begins that is good for nothing before.
const UNLOCK_FIRST: &str = "unlock the datastore first";

/// How the datastore is locked, in a line and in the word of `datastoreReady`; `None`: it is not, or nobody can tell.
fn state(world: &World<'_>) -> Option<(&'static str, &'static str)> {
    let information = &world.snapshot.cluster;
    match (information.meta, information.ready) {
        (None, _) if is_undecodable(world, keys::CLUSTER_INFORMATION) => None,
        (Some(_), Some(true)) => None,
        (None, _) => Some(("ClusterInformation is absent: no pod can start or stop", "absent")),
        (Some(_), Some(false)) => Some(("datastoreReady is false: no pod can start or stop", "false")),
        (Some(_), None) => Some(("datastoreReady is not set: no pod can start or stop", "not set")),
    }
}

/// Why nobody should unlock it, as advice: it is not the datastore that was meant.
fn is_another(world: &World<'_>) -> Option<String> {
    let snapshot = world.snapshot;
    let was_read = Input::ALL.into_iter().filter(|input| input.is_calicos()).all(|i| snapshot.coverage.complete(i));
    let holds_nothing = snapshot.cluster.meta.is_none()
        && snapshot.blocks.is_empty()
        && snapshot.endpoints.is_empty()
        && snapshot.calico_nodes.is_empty()
        && snapshot.pools.is_empty()
        && snapshot.bad_values.is_empty();
    if was_read && holds_nothing {
        return Some("this etcd holds nothing of Calico's: check that it is the right one".to_owned());
    }
    let is_mismatch = matches!(world.ledger.pairing, Pairing::Mismatch(_));
    is_mismatch.then(|| format!("find out first whose datastore this is ({})", kubernetes_mismatch::CHECK.code))
}

/// CNI refuses ADD and DEL alike: a pod that is deleted then stays down. Whatever a finding advises, unlocking comes
/// first, and until then no command deletes a pod or writes Calico's keys: whoever pastes them all would be too early.
pub fn put_first(world: &World<'_>, findings: &mut [KeptFinding]) {
    if !world.snapshot.coverage.complete(Input::Config) || state(world).is_none() {
        return;
    }
    let is_another = is_another(world).is_some();
    let put = |finding: &mut Finding| {
        finding.next.retain(|command| !deletes_pods(command.raw()));
        if is_another {
            return true;
        }
        let code = CHECK.code;
        let first = format!("{UNLOCK_FIRST} ({code}) when nobody works on it any more, or pods stay down");
        finding.advice = match finding.advice.raw() {
            "" => first.into(),
            then => format!("{first}{THEN}{then}").into(),
        };
        finding.next.splice(0..0, [LOOK.into(), UNLOCK.into()]);
        true
    };
    // Whoever migrates or repairs it may take another's write back, or carry it along as it was.
    let hold_back = |finding: &mut Finding| {
        let all = finding.next.len();
        finding.next.retain(|command| !writes_datastore(command.raw()));
        if finding.next.len() == all || finding.code == CHECK.code {
            return false;
        }
        if finding.next.is_empty() {
            finding.next.push(LOOK.into());
        }
        if !finding.restarts_pods {
            finding.advice =
                format!("{}; not while the datastore is locked ({})", finding.advice.raw(), CHECK.code).into();
        }
        true
    };
    let mut keeper = FindingKeeper::default();
    for finding in findings {
        keeper.change(finding, hold_back);
        if finding.restarts_pods {
            keeper.change(finding, put);
        }
    }
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let Some((summary, ready)) = state(world) else { return };
    let information = &world.snapshot.cluster;
    let another = is_another(world);
    let unlock = another.is_none().then_some(UNLOCK);
    let then = || "unlock it when nobody works on the datastore any more".to_owned();
    let draft = world
        .draft(&CHECK, world.snapshot.guid(), summary)
        .advice(another.unwrap_or_else(then))
        .fact("datastore_ready", ready)
        .fact("cluster_information", information.meta.is_some())
        .next(LOOK)
        .with_each(unlock, |draft, command| draft.next(command));
    findings.push(draft.done());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::run as run_all;
    use crate::checks::testing::{Cluster, undecodable_block};
    use crate::ledger::Ledger;
    use crate::model::{ClusterInformation, InputState};

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn anything_but_true_is_locked() {
        for (ready, summary) in [(Some(false), "datastoreReady is false"), (None, "datastoreReady is not set")] {
            let mut c = Cluster::healthy();
            c.snapshot.cluster.ready = ready;
            let found = c.find(&CHECK);
            assert_eq!((found.len(), found[0].subject.id.raw()), (1, "guid-1"));
            assert!(found[0].summary.raw().starts_with(summary), "{:?}", found[0].summary);
        }
    }

    #[test]
    fn an_absent_object_locks_and_an_undecodable_one_is_another_finding() {
        let mut c = Cluster::healthy();
        c.snapshot.cluster = ClusterInformation::default();
        assert_eq!(c.subjects(&CHECK), ["unknown"]);
        let mut bad = undecodable_block("10.65.0.128/26");
        (bad.key, bad.input) = (keys::CLUSTER_INFORMATION.as_bytes().to_vec(), Input::Config);
        c.snapshot.bad_values.push(bad);
        assert!(c.find(&CHECK).is_empty());
    }

    fn audit(c: &mut Cluster) -> Vec<Finding> {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
        run_all(&World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() })
            .findings
            .iter()
            .map(KeptFinding::open)
            .collect()
    }

    fn of(findings: &[Finding], code: u16) -> &Finding {
        findings.iter().find(|f| f.code == Code(code)).unwrap_or_else(|| panic!("no IPA{code} in {findings:?}"))
    }

    /// web-0 lost its allocation and its endpoint, web-1 its tunnel's neighbour; a leak beside them.
    fn damaged(ready: Option<bool>) -> Cluster {
        let mut c = Cluster::healthy();
        c.free("10.65.0.1");
        c.remove_endpoint("web-0");
        c.free("10.65.0.64");
        c.remove_pod("web-3");
        c.remove_endpoint("web-3");
        c.snapshot.cluster.ready = ready;
        c
    }

    #[test]
    fn nothing_else_is_written_while_it_is_locked() {
        let stale = |ready| {
            let mut c = Cluster::healthy();
            c.remove_pod("web-2");
            c.free("10.65.0.65");
            c.remove_handle(&Cluster::handle_id("shop", "web-2"));
            c.snapshot.cluster.ready = ready;
            let findings = audit(&mut c);
            let writes =
                findings.iter().flat_map(|f| &f.next).filter(|command| writes_datastore(command.raw())).count();
            let held_back =
                findings.iter().filter(|f| f.advice.raw().ends_with("; not while the datastore is locked (IPA902)"));
            assert!(findings.iter().all(|f| !f.next.is_empty()), "{findings:?}");
            (writes, held_back.count())
        };
        let (writes, held_back) = stale(Some(true));
        assert!(writes > 0 && held_back == 0, "{writes} {held_back}");
        let (writes, held_back) = stale(Some(false));
        assert!(writes == 0 && held_back > 0, "{writes} {held_back}");
    }

    #[test]
    fn what_restarts_pods_says_to_unlock_first_while_the_datastore_is_locked() {
        for ready in [Some(false), None] {
            let findings = audit(&mut damaged(ready));
            let next: Vec<&str> = of(&findings, 902).next.iter().map(|n| n.raw()).collect();
            assert_eq!(next, [LOOK, UNLOCK]);
            for code in [120, 505, 115] {
                let finding = of(&findings, code);
                // In whatever order somebody pastes them: first who works there, then the unlocking.
                assert_eq!(finding.next[0], "calicoctl get clusterinformation default -o yaml", "IPA{code}");
                assert_eq!(finding.next[1], "calicoctl datastore migrate unlock", "IPA{code}");
                let says = "unlock the datastore first (IPA902) when nobody works on it any more, or pods stay down; \
                    then restart ";
                assert!(finding.advice.raw().starts_with(says), "IPA{code}: {:?}", finding.advice);
            }
            let restarts: Vec<&Finding> = findings.iter().filter(|f| f.restarts_pods).collect();
            assert!(restarts.len() >= 3 && restarts.iter().all(|f| f.next[0] == LOOK && f.next[1] == UNLOCK));
            let deletes = |f: &Finding| f.next.iter().any(|n| n.raw().contains("delete pod"));
            assert!(!findings.iter().any(deletes), "whoever pastes all of them must not be too early");
            // A release needs no CNI, and has its own gate.
            assert!(
                !of(&findings, 110).advice.raw().contains("unlock")
                    && of(&findings, 110).next[0].raw().contains("release")
            );
        }
    }

    #[test]
    fn nobody_unlocks_an_empty_etcd_or_another_clusters() {
        let mut empty = Cluster::healthy();
        let s = &mut empty.snapshot;
        s.cluster = ClusterInformation::default();
        (s.blocks, s.endpoints, s.calico_nodes, s.pools) = Default::default();
        let mut other = damaged(Some(false));
        for (i, node) in ["east-1", "east-2"].into_iter().enumerate() {
            other.snapshot.kube_nodes[i].name = other.snapshot.names.intern(node);
        }
        for (mut c, says) in [(empty, "this etcd holds nothing of Calico's"), (other, "find out first whose datastore")]
        {
            let findings = audit(&mut c);
            let locked = of(&findings, 902);
            assert!(locked.advice.raw().starts_with(says), "{:?}", locked.advice);
            assert!(findings.iter().all(|f| !f.next.iter().any(|n| n == UNLOCK)), "{findings:#?}");
        }
    }

    #[test]
    fn an_unlocked_or_unread_datastore_changes_no_advice() {
        let mut c = damaged(Some(false));
        c.snapshot.coverage.set(Input::Config, InputState::Forbidden, "");
        for mut c in [damaged(Some(true)), c] {
            let findings = audit(&mut c);
            assert!(of(&findings, 120).advice.raw().starts_with("restart "), "{:?}", of(&findings, 120).advice);
            assert!(findings.iter().all(|f| !f.next.iter().any(|n| n == UNLOCK)));
        }
    }
}
