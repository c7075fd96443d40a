//! The first words of hand-made audits.

use std::time::Duration;

use super::*;
use crate::checks::testing::Cluster;
use crate::checks::{World, run};
use crate::ledger::Ledger;
use crate::model::{Code, FailedLook, Finding, FindingKeeper, Input, InputState, Severity, State};
use crate::render::{AuditCircumstances, Narrow, Releases};

/// The verdict of a cluster, `TONE text | command` a sentence.
fn told(c: &mut Cluster, about: AuditCircumstances) -> Vec<String> {
    told_of(c, about, |_| {})
}

/// The same with findings that somebody has touched.
fn told_of(c: &mut Cluster, about: AuditCircumstances, touch: impl Fn(&mut Finding)) -> Vec<String> {
    let snapshot = c.snapshot();
    let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
    let mut outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() });
    let mut keeper = FindingKeeper::default();
    outcome.findings.iter_mut().for_each(|finding| {
        keeper.change(finding, |finding| {
            touch(finding);
            true
        });
    });
    let view = AuditView::of(&snapshot, &ledger, &outcome, about);
    let sentence = |s: &Sentence| {
        let command = s.command.as_ref().map(|command| format!(" | {}", command.raw())).unwrap_or_default();
        format!("{} {}{command}", s.tone.word(), s.text.raw())
    };
    verdict(&view).iter().map(sentence).collect()
}

fn plain(c: &mut Cluster) -> Vec<String> {
    told(c, AuditCircumstances::default())
}

/// web-0's pod and endpoint are gone, its address is not.
fn leaked() -> Cluster {
    let mut c = Cluster::healthy();
    c.remove_pod("web-0");
    c.remove_endpoint("web-0");
    c
}

#[test]
fn all_is_well_with_how_much_was_read() {
    let told_well = plain(&mut Cluster::healthy());
    let says = "well Nothing wrong: ";
    assert!(told_well.len() == 1 && told_well[0].starts_with(says), "{told_well:?}");
    assert!(
        told_well[0].ends_with(" checks found nothing in 2 blocks, 6 handles, 4 endpoints and 4 live pods."),
        "{told_well:?}"
    );
    let narrow = Narrow { codes: vec![Code(101)], ..Narrow::default() };
    let narrowed = told(&mut leaked(), AuditCircumstances { narrow, ..AuditCircumstances::default() });
    assert_eq!(narrowed, ["well Nothing found with --code IPA101 (1 other finding is outside this view)."]);
}

#[test]
fn leaks_are_told_with_what_a_release_would_say() {
    let releases = |releases| told(&mut leaked(), AuditCircumstances { releases, ..AuditCircumstances::default() });
    let leak = "error leaked address 10.65.0.1 on node-1 (IPA110): pod shop/web-0 does not exist.";
    let day = Releases::open(Duration::from_secs(90_000));
    assert_eq!(releases(day), [format!("{leak} | ipaudit release --code IPA110 --older-than 24h")]);
    let hour = Releases::open(Duration::from_secs(5_000));
    assert_eq!(releases(hour), [format!("{leak} | ipaudit release --code IPA110 --older-than 1h")]);
    let early = releases(Releases::Early { again: false });
    assert!(
        early[0].starts_with(&format!("{leak} A release is let through when three audits have seen it.")),
        "{early:?}"
    );
    let closed = releases(Releases::Closed("the datastore is locked".into()));
    assert!(
        closed[0].starts_with(&format!("{leak} No release is let through now: the datastore is locked.")),
        "{closed:?}"
    );
}

/// The command under a sentence shows what the sentence counts: in the view that was asked for, and of each code.
#[test]
fn what_shows_all_of_them_keeps_the_view_and_every_code() {
    let mut c = leaked();
    for pod in ["web-1", "web-2"] {
        c.remove_pod(pod);
        c.remove_endpoint(pod);
    }
    let mut of = |narrow: Narrow| {
        let releases = Releases::Closed("the datastore is locked".into());
        told(&mut c, AuditCircumstances { narrow, releases, ..AuditCircumstances::default() })
    };
    let on_node = of(Narrow { node: Some("node-1".to_owned()), ..Narrow::default() });
    assert!(on_node[0].starts_with("error 2 leaked addresses on node-1"), "{on_node:?}");
    assert!(on_node[0].ends_with(" | ipaudit audit --code IPA110 --node node-1 --all"), "{on_node:?}");
    let in_shop = of(Narrow { namespace: Some("shop".to_owned()), ..Narrow::default() });
    assert!(in_shop[0].starts_with("error 3 leaked addresses"), "{in_shop:?}");
    assert!(in_shop[0].ends_with(" | ipaudit audit --code IPA110 --namespace shop --all"), "{in_shop:?}");
    tunnel_of_a_gone_node(&mut c);
    let told = told(&mut c, AuditCircumstances::default());
    assert!(told[0].starts_with("error 4 leaked addresses: 3 of pods"), "{told:?}");
    assert!(told[0].ends_with(" | ipaudit audit --code IPA110 --code IPA111 --all"), "{told:?}");
}

/// node-9 is gone with its tunnel's address.
fn tunnel_of_a_gone_node(c: &mut Cluster) {
    c.node("node-9", "192.168.0.9");
    c.tunnel("node-9", crate::model::Tunnel::Vxlan, "10.65.0.20");
    c.remove_calico_node("node-9");
    c.remove_kube_node("node-9");
    c.scope = crate::ledger::ScopeFlag::Exclusive;
}

/// Nobody types what would be refused.
#[test]
fn leaks_of_which_none_goes_have_their_reason_and_no_release() {
    let open = || AuditCircumstances { releases: Releases::open(Duration::from_secs(5_000)), ..Default::default() };
    let refuse = |finding: &mut Finding| {
        finding.next.retain(|command| !command.raw().starts_with("ipaudit release "));
        finding.advice = "a release is let through when its node is Ready".into();
    };
    let told = told_of(&mut leaked(), open(), refuse);
    assert!(told[0].contains(" It does not go now: a release is let through when its node is Ready."), "{told:?}");
    assert!(!told[0].contains("ipaudit release"), "{told:?}");
    let mut c = leaked();
    c.remove_pod("web-1");
    c.remove_endpoint("web-1");
    let told = told_of(&mut c, open(), |finding| {
        if finding.subject.id.raw() == "10.65.0.1" {
            refuse(finding);
        }
    });
    assert!(told[0].contains(" 1 of 2 goes now; 1: a release is let through when its node is Ready."), "{told:?}");
    assert!(told[0].ends_with(" | ipaudit release --code IPA110 --older-than 1h"), "{told:?}");
}

/// Who repairs duplicates one by one before he knows of the restore repairs them twice.
#[test]
fn a_restore_is_told_before_what_it_caused() {
    let mut c = Cluster::healthy();
    (c.snapshot.etcd.revision, c.snapshot.etcd.cluster_id) = (1000, 8);
    c.remember().etcd = Some(crate::model::PastEtcd { revision: 1000, cluster_id: 7, ..Default::default() });
    c.free("10.65.0.1");
    let told = plain(&mut c);
    assert!(told[0].starts_with("critical datastore went back guid-1 (IPA903): "), "{told:?}");
    assert!(told[1].starts_with("critical unallocated address in use 10.65.0.1"), "{told:?}");
}

/// The endpoint that explains a leak stays where it is; people ask for leaks.
#[test]
fn leaks_are_told_as_leaks_though_something_else_explains_them() {
    let mut c = Cluster::healthy();
    for pod in ["web-0", "web-1"] {
        c.remove_pod(pod);
    }
    let told = plain(&mut c);
    assert!(told[0].starts_with("error 2 leaked addresses on node-1 (IPA110)."), "{told:?}");
}

/// Addresses that nobody uses wait; a machine that cannot start does not.
#[test]
fn what_cannot_start_is_told_before_leaks() {
    let mut c = leaked();
    c.handle("k8s-pod-network.vmi.lab.vm-0", &["10.65.0.9"]);
    let told = told_of(&mut c, AuditCircumstances::default(), |_| {});
    assert!(told[0].starts_with("error vm-blocking handle "), "{told:?}");
    assert!(told[1].starts_with("error leaked address 10.65.0.1 on node-1 (IPA110)"), "{told:?}");
}

#[test]
fn the_worst_is_the_shortest_queue() {
    let mut c = Cluster::healthy();
    for address in ["10.65.0.1", "10.65.0.65", "10.65.0.66"] {
        c.free(address);
    }
    // The last of them is next.
    c.block_mut("10.65.0.64/26").unallocated.rotate_right(1);
    let told = plain(&mut c);
    let says = "critical 3 addresses in use that IPAM calls free on 2 nodes, 2 of them on node-2 (IPA120). Worst: 10.65.0.66, \
        shop/web-3 on node-2: free in IPAM, handed out by the next allocation. Restart shop/web-3 now: the next pod gets \
        the same address. | kubectl -n shop delete pod web-3";
    assert_eq!(told, [says]);
}

#[test]
fn the_worst_has_the_most_holders_and_leaks_come_behind_it() {
    let mut c = leaked();
    let shared = |c: &mut Cluster, pods: &[&str], address: &str| {
        for pod in pods {
            c.workload("shop", pod, "node-2", &[address]);
        }
    };
    shared(&mut c, &["a-1"], "10.65.0.2");
    shared(&mut c, &["b-1", "b-2"], "10.65.0.65");
    let told = plain(&mut c);
    let says = "critical 2 addresses held by several pods";
    assert!(told[0].starts_with(says) && told[0].contains(" Worst: 10.65.0.65, 3 pods on node-2. "), "{told:?}");
    assert!(told[1].starts_with("error leaked address 10.65.0.1 on node-1 (IPA110)"), "{told:?}");
}

#[test]
fn blind_is_first_with_each_cause_once() {
    let mut c = leaked();
    for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
        c.snapshot.coverage.set(input, InputState::Forbidden, "Unauthorized");
        c.snapshot.coverage.set_hint(input, "has the token expired?");
    }
    c.snapshot.pods.clear();
    c.snapshot.kube_nodes.clear();
    let told = plain(&mut c);
    let says = "blind Kubernetes did not answer (Unauthorized: has the token expired?); duplicates and leaks were not looked \
        for.";
    assert_eq!(told, [says]);
}

#[test]
fn blind_beside_findings_tells_both() {
    let mut c = leaked();
    c.snapshot.coverage.set(Input::Services, InputState::Forbidden, "services is forbidden");
    c.snapshot.coverage.set_hint(Input::Services, "ask for it");
    let unlooked = Some(FailedLook { why: "no answer".into(), hint: "run it once more".into() });
    let told = told(&mut c, AuditCircumstances { unlooked, ..AuditCircumstances::default() });
    let says = "blind Kubernetes refuses us services (services is forbidden; ask for it); the second look failed (no answer; \
        run it once more); ";
    assert!(told[0].starts_with(says) && told[0].ends_with(" checks did not run."), "{told:?}");
    assert!(told[1].starts_with("error leaked address"), "{told:?}");
}

/// A lock is a warning by its severity, and stops the cluster; what was not seen comes before all.
#[test]
fn nothing_is_calm_where_no_pod_can_start() {
    let mut c = Cluster::healthy();
    c.snapshot.cluster.ready = Some(false);
    let locked = plain(&mut c);
    let says =
        "critical datastore locked guid-1 (IPA902): datastoreReady is false: no pod can start or stop. Unlock it when";
    assert!(locked[0].starts_with(says) && locked.len() == 1, "{locked:?}");
    c.snapshot.cluster = crate::model::ClusterInformation::default();
    let nameless = plain(&mut c);
    assert!(nameless[0].starts_with("critical datastore locked (IPA902): "), "{nameless:?}");
    assert!(nameless[0].ends_with(" | calicoctl get clusterinformation default -o yaml"), "{nameless:?}");
    c.snapshot.coverage.set(Input::Services, InputState::Forbidden, "services is forbidden");
    let blind = plain(&mut c);
    assert!(blind[0].starts_with("blind ") && blind[1].starts_with("critical datastore locked ("), "{blind:?}");
}

/// Who pastes the first command first looks who works there.
#[test]
fn a_locked_datastore_is_looked_at_before_it_is_unlocked() {
    let mut c = Cluster::healthy();
    c.free("10.65.0.1");
    c.snapshot.cluster.ready = Some(false);
    let told = plain(&mut c);
    // Before what is worse by its severity: nothing of that can be repaired.
    assert!(told[0].starts_with("critical datastore locked guid-1 (IPA902): "), "{told:?}");
    assert!(told[1].starts_with("critical unallocated address in use 10.65.0.1 (IPA120): "), "{told:?}");
    assert!(
        told[1].contains(". Once it is unlocked: restart ") && !told[1].contains("nlock the datastore"),
        "{told:?}"
    );
    let look = " | calicoctl get clusterinformation default -o yaml";
    assert!(told[0].ends_with(look) && !told[1].contains(" | "), "{told:?}");
}

#[test]
fn several_leaks_are_they() {
    let mut c = leaked();
    c.remove_pod("web-1");
    c.remove_endpoint("web-1");
    let told = told(
        &mut c,
        AuditCircumstances { releases: Releases::Early { again: false }, ..AuditCircumstances::default() },
    );
    assert!(told[0].contains(" A release is let through when three audits have seen them."), "{told:?}");
}

/// What is said of the leaks of pods is not true of tunnels' and services', which no audit counts.
#[test]
fn of_several_kinds_of_leaks_each_has_what_is_true_of_it() {
    const NODE: &str = "no audit has seen its node as this cluster's";
    let mut c = leaked();
    tunnel_of_a_gone_node(&mut c);
    let mut of = |releases: Releases, why: &'static str| {
        let about = AuditCircumstances { releases, ..AuditCircumstances::default() };
        told_of(&mut c, about, |finding| {
            if finding.code == Code(110) && !why.is_empty() {
                finding.next.retain(|command| !command.raw().starts_with("ipaudit release "));
                finding.advice = why.into();
            }
        })
    };
    let word = " 1 of tunnels goes by your word: --all has the commands.";
    let early = of(Releases::Early { again: false }, crate::plan::rules::WHEN_SEEN);
    let says = " A release is let through when three audits have seen that of pods.";
    assert!(early[0].contains(&format!("{says}{word}")), "{early:?}");
    for releases in [Releases::Early { again: false }, Releases::open(Duration::from_secs(5_000))] {
        let told = of(releases, NODE);
        assert!(told[0].contains(&format!(" That of pods does not go now: {NODE}.{word}")), "{told:?}");
        assert!(!told[0].contains("three audits") && !told[0].contains("None of them"), "{told:?}");
    }
}

/// edge/mail is gone, its address of the LoadBalancer's block is not.
fn address_of_a_gone_service(c: &mut Cluster) {
    use crate::model::{AttributeFields, HandleId, Host, HostKind, Owner};
    c.block("10.65.9.0/28", None);
    let virtual_host = Host { kind: HostKind::Virtual, name: c.name("load-balancer") };
    c.block_mut("10.65.9.0/28").affinity = Some(virtual_host);
    let owner = Owner {
        namespace: c.name("edge"),
        service: c.name("mail"),
        kind: c.name("LoadBalancer"),
        timestamp: Some(c.ago(3_600)),
        ..Owner::default()
    };
    let handle = HandleId::intern(&mut c.snapshot.names, "lb-BJYmtJndZKvf3piVKVi31erthxyZMpCIm2eX7iv8U");
    c.allocate("10.65.9.0", AttributeFields { handle, owner, ..AttributeFields::default() });
}

/// What goes one by one is told as what goes at once is: nothing of it goes now, and why.
#[test]
fn leaks_that_go_one_by_one_say_that_none_goes() {
    let mut c = Cluster::healthy();
    tunnel_of_a_gone_node(&mut c);
    let mut of = |releases| told(&mut c, AuditCircumstances { releases, ..AuditCircumstances::default() });
    let files = of(Releases::FromFiles("Kubernetes was read from files".into()));
    let says = " No release of it is let through now: Kubernetes was read from files. Audit with --kubeconfig instead of \
        files, and release what that advises.";
    let of_tunnel = files.iter().find(|line| line.contains("(IPA111)")).unwrap();
    assert!(of_tunnel.contains(says) && !of_tunnel.contains("elease it by itself"), "{files:?}");
    let open = of(Releases::open(Duration::from_secs(5_000)));
    let of_tunnel = open.iter().find(|line| line.contains("(IPA111)")).unwrap();
    assert!(!of_tunnel.contains("let through"), "{open:?}");
    assert!(of_tunnel.contains("elease") && !of_tunnel.contains("ipaudit release --code"), "{open:?}");
    address_of_a_gone_service(&mut c);
    let told =
        told(&mut c, AuditCircumstances { releases: Releases::Closed("it is locked".into()), ..Default::default() });
    let said = told.iter().filter(|line| line.contains(" No release ") && line.contains(": it is locked."));
    assert_eq!(said.count(), 1, "{told:?}");
    assert!(told.iter().any(|line| line.contains("(IPA111)") && line.contains("(IPA112)")), "{told:?}");
}

#[test]
fn what_nobody_looked_at_again_keeps_its_weight() {
    let mut c = Cluster::healthy();
    c.free("10.65.0.1");
    let told = told_of(&mut c, AuditCircumstances::default(), |finding| {
        (finding.state, finding.suspected) = (State::Unconfirmed, Some(finding.severity));
        finding.severity = Severity::Note;
    });
    assert_eq!(
        told[0],
        "blind 1 critical and 1 warning seen once, unconfirmed (nobody looked again: run without --settle 0)."
    );
    assert!(told[1].starts_with("critical unconfirmed: unallocated address in use 10.65.0.1"), "{told:?}");
}

/// A command that deletes an endpoint is no first word: that no sandbox is left is looked for before.
#[test]
fn what_needs_a_look_at_a_node_first_is_no_command_of_the_first_line() {
    let mut c = Cluster::healthy();
    c.remove_pod("web-0");
    let told = told_of(&mut c, AuditCircumstances::default(), |finding| {
        if finding.code == Code(501) {
            finding.severity = Severity::Critical;
            finding.next = vec!["calicoctl delete workloadendpoint x --namespace=shop".into()];
        }
    });
    assert!(told[0].starts_with("critical stale endpoint "), "{told:?}");
    assert!(told[0].ends_with(" | ipaudit audit --code IPA501 --all"), "{told:?}");
}

/// The API server hands out the logs that nodes' evidence is in: etcd has nothing to do with it.
#[test]
fn who_withholds_the_evidence_of_nodes_is_kubernetes() {
    let of = |state| {
        let mut c = Cluster::healthy();
        c.snapshot.coverage.set(Input::NodeEvidence, state, "pods:ipaudit/app=x: no");
        plain(&mut c).concat()
    };
    let refused = of(InputState::Forbidden);
    assert!(refused.contains("Kubernetes refuses us node-evidence (pods:ipaudit/app=x: no"), "{refused}");
    let silent = of(InputState::Unreachable);
    assert!(silent.contains("Kubernetes did not give us node-evidence (pods:"), "{silent}");
    assert!(![refused, silent].concat().contains("etcd"));
}
