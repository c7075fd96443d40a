//! While the datastore is locked, CNI refuses ADD and DEL alike: a pod that is deleted then stays down. Whatever a
//! finding advises, unlocking comes first (IPA902).

use super::World;
use super::datastore::datastore_locked::{self, UNLOCK};
use crate::model::{Finding, Input};

/// Puts the unlocking before every advice and command that restarts or starts pods.
pub fn put_first(world: &World<'_>, findings: &mut [Finding]) {
    if !world.snapshot.coverage.complete(Input::Config) || datastore_locked::state(world).is_none() {
        return;
    }
    for finding in findings.iter_mut().filter(|finding| needs_cni(finding)) {
        let first = "unlock the datastore first (IPA902), or pods stay down";
        finding.advice = match finding.advice.as_str() {
            "" => first.to_owned(),
            then => format!("{first}; then {then}"),
        };
        finding.next.insert(0, UNLOCK.to_owned());
    }
}

/// Whether following the finding's advice makes CNI's ADD or DEL run.
fn needs_cni(finding: &Finding) -> bool {
    let restarts = |command: &String| command.starts_with("kubectl") && command.contains(" delete pod");
    let says = |word: &str| finding.advice.contains(word);
    finding.next.iter().any(restarts) || ["restart", "start a pod", "delete the pod"].into_iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Cluster;
    use super::*;
    use crate::checks::run;
    use crate::ledger::Ledger;
    use crate::model::{Code, InputState};

    fn audit(c: &mut Cluster) -> Vec<Finding> {
        c.snapshot.sort();
        let ledger = Ledger::build(&c.snapshot, c.scope, c.past.as_ref());
        run(&World { snapshot: &c.snapshot, ledger: &ledger, past: c.past.as_ref() }).findings
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
    fn what_restarts_pods_says_to_unlock_first_while_the_datastore_is_locked() {
        for ready in [Some(false), None] {
            let findings = audit(&mut damaged(ready));
            for code in [120, 505, 115] {
                let finding = of(&findings, code);
                assert_eq!(finding.next[0], "calicoctl datastore migrate unlock", "IPA{code}");
                let says = "unlock the datastore first (IPA902), or pods stay down; then restart ";
                assert!(finding.advice.starts_with(says), "IPA{code}: {}", finding.advice);
            }
            let restarts: Vec<&Finding> =
                findings.iter().filter(|f| f.next.iter().any(|n| n.contains("delete pod"))).collect();
            assert!(restarts.len() >= 3 && restarts.iter().all(|f| f.next[0] == UNLOCK));
            // A release needs no CNI, and has its own gate.
            assert!(!of(&findings, 110).advice.contains("unlock") && of(&findings, 110).next[0].contains("release"));
        }
    }

    #[test]
    fn an_unlocked_or_unread_datastore_changes_no_advice() {
        let mut c = damaged(Some(false));
        c.snapshot.coverage.set(Input::Config, InputState::Forbidden, "");
        for mut c in [damaged(Some(true)), c] {
            let findings = audit(&mut c);
            assert!(of(&findings, 120).advice.starts_with("restart "), "{:?}", of(&findings, 120).advice);
            assert!(findings.iter().all(|f| !f.next.iter().any(|n| n == UNLOCK)));
        }
    }
}
