//! Many findings of one code: what comes first, what to type, and on which node.

use super::*;

/// What an advice about sandboxes needs is typed on that node.
#[test]
fn sandboxes_are_looked_for_on_their_nodes_also_of_many() {
    let stale = |number: usize| {
        let id = format!("shop/node--{number}-k8s-web--0-eth0");
        let mut finding = Finding::new(Code(501), Severity::Error, Subject::new(SubjectKind::Endpoint, id), "gone");
        finding.advice = format!("when no sandbox of it is left on node-{number}, delete the endpoint").into();
        let command = format!("crictl pods --state ready --quiet --namespace shop --name '^web-{number}$'");
        let on = crate::model::Evidence::new().with("node", format!("node-{number}")).with("command", command);
        finding.evidence.push("sandboxes", vec![on]);
        finding
    };
    for (number, shown) in [(1, 1), (3, 3), (5, 3)] {
        let findings: Vec<Finding> = (0..number).map(stale).collect();
        let text = told(&view(&FindingKeeper::all(findings.clone()), &[]), Options::default());
        let heads = text.lines().filter(|l| l.trim().starts_with("on node-") && l.contains("must print nothing"));
        assert_eq!(heads.count(), shown, "{text}");
        let commands = text.lines().map(str::trim).filter(|line| line.starts_with("crictl pods --state ready --quiet"));
        assert_eq!(commands.count(), shown, "each on a line of its own: {text}");
        assert_eq!(text.contains("2 more sandboxes to look for; all with --all"), number == 5, "{text}");
        // What deletes at once stands apart from what asks; a release asks by itself.
        let with = |command: &str| {
            let mut findings = findings.clone();
            findings.iter_mut().for_each(|finding| finding.next = vec![command.into()]);
            told(&view(&FindingKeeper::all(findings), &[]), Options::default())
        };
        let text = with("calicoctl delete workloadendpoint x --namespace=shop");
        let [asks, then, deletes] = ["crictl ", "only then:", "calicoctl delete"].map(|word| text.find(word).unwrap());
        assert!(asks < then && then < deletes && !text[then..deletes].contains("crictl "), "{text}");
        assert!(!with("ipaudit release --handle k8s-pod-network.x").contains("only then"), "{number}");
    }
}

/// The bigger the incident, the more it has to say: an order, every pod, and one command for many.
#[test]
fn many_critical_findings_say_what_comes_first_and_name_their_pods() {
    let lost = |number: u64| {
        let (address, pod) = (format!("10.65.0.{number}"), format!("web-{number}"));
        let summary = format!("shop/{pod} on node-1: free in IPAM");
        let subject = Subject::new(SubjectKind::Address, address.as_str());
        let mut finding = Finding::new(Code(120), Severity::Critical, subject, summary);
        finding.advice = format!("restart shop/{pod}").into();
        finding.next =
            vec![format!("kubectl -n shop delete pod {pod}").into(), format!("ipaudit who {address}").into()];
        finding.evidence =
            Evidence::new().with("handed_out_after", 60 - number).with("restart", vec![format!("shop/{pod}")]);
        finding
    };
    let findings: Vec<Finding> = (0..6).map(lost).collect();
    let text = told(&view(&FindingKeeper::all(findings.clone()), &[]), Options::default());
    let first: Vec<usize> = [5, 4, 3].map(|i| text.find(&format!("  restart  shop/web-{i}\n")).unwrap()).into();
    assert!(first.is_sorted(), "{text}");
    let order = "\n       restart first:\n       10.65.0.5  shop/web-5 on node-1: free in IPAM\n";
    assert!(text.contains(order), "{text}");
    let rest = "\n       then  10.65.0.2 shop/web-2  10.65.0.1 shop/web-1  10.65.0.0 shop/web-0\n";
    let bulk = "       kubectl -n shop delete pod web-5 web-4 web-3 web-2 web-1 web-0\n       ipaudit audit --code IPA120 --all\n";
    assert!(text.contains(&format!("{rest}{bulk}")), "{text}");
    let all = told(&view(&FindingKeeper::all(findings.clone()), &[]), Options { all: true, ..Options::default() });
    for i in 0..6 {
        let own = format!("\n       kubectl -n shop delete pod web-{i}\n       ipaudit who 10.65.0.{i}\n");
        assert!(all.contains(&format!("  restart  shop/web-{i}\n")) && all.contains(&own), "{all}");
    }
}

/// A pod of two families shares two addresses and is restarted once: it takes one place among those that come first.
#[test]
fn what_comes_first_counts_pods_and_not_their_addresses() {
    let twice = |number: usize| {
        [format!("10.65.0.{number}"), format!("fd00:65::{number}")].map(|address| {
            let subject = Subject::new(SubjectKind::Address, address.as_str());
            let mut finding = Finding::new(Code(101), Severity::Critical, subject, "2 pods on node-1");
            let (keep, restart) = (format!("shop/web-{number}"), format!("ns-{number}/late"));
            finding.advice = format!("IPAM gave it to {keep}: keep that, restart {restart}").into();
            finding.next = vec![format!("kubectl -n ns-{number} delete pod late").into()];
            finding.gist.restarts_pods = true;
            finding.evidence = Evidence::new().with("keep", keep).with("restart", vec![restart]);
            finding
        })
    };
    let found: Vec<[Finding; 2]> = (1..7).map(twice).collect();
    let of_family = |family: usize| found.iter().map(move |both| both[family].clone());
    let findings = FindingKeeper::all(of_family(0).chain(of_family(1)));
    let text = told(&view(&findings, &[]), Options { width: 120, ..Options::default() });
    for number in 1..4 {
        let first = format!("\n       10.65.0.{number}  2 pods on node-1\n");
        assert!(text.contains(&first) && text.contains(&format!("\n         likewise fd00:65::{number}\n")), "{text}");
    }
    let then = "\n       then  10.65.0.4 fd00:65::4 ns-4/late (keep shop/web-4)  10.65.0.5 ";
    assert!(text.contains(then), "{text}");
    assert!(
        text.contains("\n       for the first 4 of 6 sets of pods:\n       kubectl -n ns-1 delete pod late\n"),
        "{text}"
    );
}

/// Behind the first three nobody is told less: what to keep, and an advice in other words.
#[test]
fn what_is_advised_of_further_critical_findings_is_told_too() {
    let twice = |number: u64| {
        let subject = Subject::new(SubjectKind::Address, format!("10.65.0.{number}"));
        let mut finding = Finding::new(Code(101), Severity::Critical, subject, "2 pods on node-1");
        let (keep, restart) = (format!("shop/web-{number}"), format!("late/late-{number}"));
        finding.advice = match number {
            ..7 => format!("IPAM gave it to {keep}: keep that, restart {restart}"),
            _ => format!("IPAM gave it to {keep}, of which nothing is known: look at both; then restart {restart}"),
        }
        .into();
        finding.evidence =
            Evidence::new().with("keep", keep).with("restart", vec![restart]).with("holders", Vec::<Evidence>::new());
        finding
    };
    let findings = FindingKeeper::all((0..9).map(twice));
    let text = told(&view(&findings, &[]), Options { width: 200, ..Options::default() });
    let (_, group) = text.split_once("restart first:").unwrap();
    assert!(group.contains("then  10.65.0.3 late/late-3 (keep shop/web-3)  10.65.0.4 "), "{text}");
    let other = "\n       2 like this: IPAM gave it to shop/web-7, of which nothing is known: look at both; then restart \
        late/late-7\n         10.65.0.7  10.65.0.8\n";
    assert!(group.contains(other), "{text}");
    assert_eq!(group.matches("keep that").count(), 3, "{text}");
    let all = told(&view(&findings, &[]), Options { all: true, width: 200, ..Options::default() });
    let (_, group) = all.split_once("\nCRITICAL\n").unwrap();
    assert_eq!((group.matches("keep that").count(), group.matches("look at both").count()), (7, 2), "{all}");
}

#[test]
fn commands_stand_alone_and_what_they_leave_out_is_said() {
    let mut finding = duplicate();
    finding.next = (0..5).map(|i| format!("kubectl -n ns-{i} delete pod web-0").into()).collect();
    let findings = [finding];
    let kept = FindingKeeper::all(findings);
    let mut view = view(&kept, &[]);
    view.connected_by = vec!["--etcd-endpoints", "--kubeconfig"];
    let text = told(&view, Options::default());
    let counted = "\n       the first 2 commands; 3 more commands with --all:\n       kubectl -n ns-0 delete pod web-0\n       \
        kubectl -n ns-1 delete pod web-0\n";
    assert!(text.contains(counted), "{text}");
    let left_out = "\nThe commands leave out how this audit was connected: --etcd-endpoints, --kubeconfig.\n";
    assert!(text.contains(left_out), "{text}");
    let all = told(&view, Options { all: true, ..Options::default() });
    assert_eq!(all.lines().filter(|line| line.starts_with("       kubectl -n ns-")).count(), 5, "{all}");
}

/// Others say to unlock the datastore first: here stands what does it, behind what shows who locked it.
#[test]
fn a_locked_datastore_is_told_with_what_unlocks_it() {
    let mut finding =
        Finding::new(Code(902), Severity::Warning, Subject::new(SubjectKind::Cluster, "guid-1"), "locked");
    finding.advice = "unlock it when nobody works on the datastore any more".into();
    let (look, unlock) = ("calicoctl get clusterinformation default -o yaml", "calicoctl datastore migrate unlock");
    finding.next = vec![look.into(), unlock.into()];
    let text = told(&view(&FindingKeeper::all([finding]), &[]), Options::default());
    let says =
        format!("\n       unlock it when nobody works on the datastore any more\n       {look}\n       {unlock}\n");
    assert!(text.contains(&says), "{text}");
}

/// Nine leaks of which five are shown by somebody: a bare list of nine would have them released.
#[test]
fn a_group_tells_each_advice_once_and_first_what_must_not_be_released() {
    let (free, held) = ("release it by itself", "somebody shows it: do not release it");
    let leak = |number: usize| {
        let subject = Subject::new(SubjectKind::Address, format!("10.65.9.{number}"));
        let mut finding = Finding::new(Code(112), Severity::Warning, subject, "service edge/gone does not exist");
        finding.advice = if number < 4 { free } else { held }.into();
        finding
    };
    let findings = FindingKeeper::all((0..9).map(leak));
    let text = told(&view(&findings, &[]), Options::default());
    let lines = |advice: &str, subjects: &str| format!("\n       {advice}\n         {subjects}\n");
    let not = lines(&format!("5: {held}"), "10.65.9.4  10.65.9.5  10.65.9.6  10.65.9.7  10.65.9.8");
    let goes = lines(&format!("4: {free}"), "10.65.9.0  10.65.9.1  10.65.9.2  10.65.9.3");
    assert!(text.contains(&format!("{not}{}", goes.trim_start_matches('\n'))), "{text}");
    assert_eq!((text.matches("10.65.9.").count(), text.matches(held).count()), (9, 1), "{text}");
    // Whose advices are all their own are some, and counted.
    let own = |number: usize| Finding { advice: format!("ask node-{number}").into(), ..leak(number) };
    let findings = FindingKeeper::all((0..9).map(own));
    let text = told(&view(&findings, &[]), Options::default());
    assert!(text.contains("\n       1: ask node-3\n") && !text.contains("ask node-4"), "{text}");
    assert!(text.contains("\n       … 5 more with an advice of their own; all with --all\n"), "{text}");
}

/// What writes is not shown to who has not looked yet; that there is such a command is said.
#[test]
fn a_look_that_comes_first_says_where_the_repair_stands() {
    let subject = Subject::new(SubjectKind::Affinity, "host:node-1 10.65.1.0/26");
    let mut finding = Finding::new(Code(404), Severity::Warning, subject, "being deleted");
    finding.next = vec!["etcdctl get /calico/x".into(), "printf 'mod' | etcdctl txn".into()];
    let findings = FindingKeeper::all([finding]);
    let text = told(&view(&findings, &[]), Options::default());
    let says = "       first look; --all shows what then repairs it:\n       etcdctl get /calico/x\n";
    assert!(text.contains(says) && !text.contains("etcdctl txn"), "{text}");
    let all = told(&view(&findings, &[]), Options { all: true, ..Options::default() });
    assert!(!all.contains("first look;") && all.contains("printf 'mod' | etcdctl txn\n"), "{all}");
}
