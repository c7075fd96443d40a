//! IPA902: the datastore is locked.

use super::{cluster, is_undecodable};
use crate::checks::{Check, Docs, World};
use crate::model::{Code, Finding, Needs, Severity, SubjectKind, keys};

pub static CHECK: Check = Check {
    code: Code(902),
    name: "datastore-locked",
    severity: Severity::Warning,
    needs: Needs::C,
    steady: false,
    subject: SubjectKind::Cluster,
    docs: Docs {
        finds: "ClusterInformation is absent, or its `datastoreReady` is anything but true.",
        matters: "CNI ADD and DEL refuse: no pod can start, and none can stop, not even the one that would unlock it. \
            Calico's collector sits still.",
        arises: "`calicoctl datastore migrate lock` before an upgrade, a restore or `calicoctl ipam release --from-report`, \
            and nobody unlocked it; or the object was deleted.",
        action: "Unlock it when nobody works on the datastore any more. Do it before any pod is deleted or restarted, whatever \
            another finding advises: while the datastore is locked the pod stays down.",
        silent: "A ClusterInformation that does not decode: IPA901 tells it.",
    },
    run,
};

/// The command that unlocks it.
pub const UNLOCK: &str = "calicoctl datastore migrate unlock";

/// How the datastore is locked, in a line and in the word of `datastoreReady`; `None`: it is not, or nobody can tell.
pub fn state(world: &World<'_>) -> Option<(&'static str, &'static str)> {
    let information = &world.snapshot.cluster;
    match (information.meta, information.ready) {
        (None, _) if is_undecodable(world, keys::CLUSTER_INFORMATION) => None,
        (Some(_), Some(true)) => None,
        (None, _) => Some(("ClusterInformation is absent: no pod can start or stop", "absent")),
        (Some(_), Some(false)) => Some(("datastoreReady is false: no pod can start or stop", "false")),
        (Some(_), None) => Some(("datastoreReady is not set: no pod can start or stop", "not set")),
    }
}

fn run(world: &World<'_>, findings: &mut Vec<Finding>) {
    let Some((summary, ready)) = state(world) else { return };
    let information = &world.snapshot.cluster;
    let draft = world
        .draft(&CHECK, cluster(world), summary)
        .advice("unlock it when nobody works on the datastore any more")
        .fact("datastore_ready", ready)
        .fact("cluster_information", information.meta.is_some())
        .next("calicoctl get clusterinformation default -o yaml")
        .next(UNLOCK);
    findings.push(draft.done());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, undecodable_block};
    use crate::model::{ClusterInformation, Input};

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
            assert_eq!((found.len(), found[0].subject.id.as_str()), (1, "guid-1"));
            assert!(found[0].summary.starts_with(summary), "{}", found[0].summary);
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
}
