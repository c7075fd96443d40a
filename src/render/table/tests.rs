//! Whole outputs of hand-made audits: what people see, letter by letter where the letter matters.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::checks::Skipped;
use crate::exit::Exit;
use crate::model::escape::is_hidden;
use crate::model::{
    Code, Evidence, FailedLook, Finding, Foreign, Input, InputState, Life, Root, Severity, Sharing, State, Subject,
    SubjectKind, Time,
};
use crate::render::capacity::PoolRow;
use crate::render::narrow::Narrow;
use crate::render::releases::Releases;
use crate::render::view::{AuditHead, ClusterRow, Counts, HistoryRow, InputRow, OutsideRow};

fn time(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

fn ago(seconds: u64) -> Time {
    time("2026-11-24T03:04:11Z").minus(Duration::from_secs(seconds))
}

const DAY: u64 = 86_400;

/// A complete audit of the product's example, without findings.
fn view<'a>(findings: &'a [Finding], skipped: &'a [Skipped]) -> AuditView<'a> {
    AuditView {
        cluster: ClusterRow {
            name: Some("prod".into()),
            guid: "6f1c2a9e8d7b4c5fa1b2c3d4e5f60718".into(),
            calico_version: Some("v3.29.1".into()),
            ..ClusterRow::default()
        },
        audit: AuditHead {
            id: Some(17),
            started: ago(0),
            judged: ago(0),
            etcd_revision: 48_213_907,
            duration: Duration::from_millis(912),
            complete: true,
            reading: None,
            scope: Sharing::Exclusive,
        },
        etcd: None,
        inputs: Input::ALL
            .map(|input| InputRow {
                input,
                state: InputState::Complete,
                detail: Foreign::default(),
                hint: Foreign::default(),
                undecodable: 0,
            })
            .into(),
        counts: Counts {
            blocks: Some(2310),
            handles: Some(69_689),
            endpoints: Some(4511),
            pods: Some(4498),
            nodes: Some(212),
            ..Counts::default()
        },
        pools: vec![PoolRow {
            name: "default".into(),
            cidr: "10.65.0.0/16".to_owned(),
            addresses: 65_536,
            allocated: Some(4561),
            in_use: Some(4498),
            leaked: Some(63),
            free: Some(60_975),
            blocks: 1024,
            free_blocks: Some(38),
            ..PoolRow::default()
        }],
        nodes: Some(Vec::new()),
        more_nodes: 0,
        findings: findings.iter().collect(),
        seen_once: 0,
        hidden: 0,
        ignored: 0,
        ignored_by: Vec::new(),
        narrow: Narrow::default(),
        unknown: Vec::new(),
        checks_run: 24,
        skipped,
        outside: OutsideRow::default(),
        unlooked: None,
        releases: Releases::Unjudged,
        handles_older_than: None,
        history: None,
        connected_by: Vec::new(),
        warnings: Vec::new(),
        exit: Exit::Clean,
    }
}

fn told(view: &AuditView<'_>, options: Options) -> String {
    let mut out = Vec::new();
    write(view, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn leak(number: u32, node: &str, days: u64) -> Finding {
    let address = crate::model::Addr::from(std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a41_0307 + number)));
    let mut finding = Finding::new(
        Code(110),
        Severity::Error,
        Subject::new(SubjectKind::Address, address.to_string()),
        "pod shop/web does not exist",
    );
    finding.node = Some(node.into());
    finding.since = Some(ago(days * DAY));
    finding.life = Some(Life { first_seen: ago(900), last_seen: ago(0), audits_seen: 2, episode: 1 });
    finding
}

fn duplicate() -> Finding {
    let mut finding = Finding::new(
        Code(101),
        Severity::Critical,
        Subject::new(SubjectKind::Address, "192.168.91.33"),
        "10 pods on slave-140",
    );
    finding.advice = "IPAM gave it to adqsdxadc/store-mysql-0: keep that one, restart the other 9".into();
    finding.next = vec!["ipaudit who 192.168.91.33".into()];
    finding.life = Some(Life { first_seen: ago(911), last_seen: ago(0), audits_seen: 2, episode: 1 });
    finding
}

fn folded(code: u16, severity: Severity) -> Finding {
    let mut finding =
        Finding::new(Code(code), severity, Subject::new(SubjectKind::Address, "192.168.91.33"), "of the same address");
    finding.root = Some(Root { code: Code(101), id: "192.168.91.33".into() });
    finding
}

#[test]
fn the_example_of_the_product() {
    let mut findings = vec![duplicate(), folded(102, Severity::Critical)];
    findings.extend((0..63).map(|i| leak(i, if i < 60 { "slave-96" } else { "slave-1" }, u64::from(i % 12))));
    findings.extend([folded(130, Severity::Error), folded(131, Severity::Warning)]);
    let reason = "services: services is forbidden for system:serviceaccount:ipaudit:ipaudit";
    let skipped = [
        Skipped { code: Code(112), reason: reason.into(), incomplete: true },
        Skipped { code: Code(403), reason: "no earlier audit".into(), incomplete: false },
        Skipped { code: Code(406), reason: "no earlier audit".into(), incomplete: false },
    ];
    let mut view = view(&findings, &skipped);
    view.history = Some(HistoryRow { new: 3, ongoing: 66, came_back: 0, resolved: 1 });
    (view.exit, view.audit.complete) = (Exit::Incomplete, false);
    let row = view.inputs.iter_mut().find(|row| row.input == Input::Services).unwrap();
    (row.state, row.detail) = (InputState::Forbidden, reason.split_once(": ").unwrap().1.into());
    let name = |code| line::name_of(Code(code));
    let expected = format!(
        "\
BLIND: Kubernetes refuses us services (services is forbidden for
  system:serviceaccount:ipaudit:ipaudit); 1 check did not run.
CRITICAL: duplicate pod address 192.168.91.33 (IPA101): 10 pods on slave-140. IPAM gave it to
  adqsdxadc/store-mysql-0: keep that one, restart the other 9.
  ipaudit who 192.168.91.33
ERROR: 63 leaked addresses on 2 nodes, 60 of them on slave-96 (IPA110).
  ipaudit audit --code IPA110 --all
prod (6f1c2a9e…)  Calico v3.29.1  etcd revision 48213907  24 Nov 03:04:11Z
2,310 blocks  69,689 handles  4,511 endpoints  4,498 live pods  212 nodes  in 0.9s
10.65.0.0/16  4,498 in use  63 leaked  60,975 free  ▕▋         ▏  38 of 1,024 blocks free  default

CRITICAL
IPA101 duplicate-pod-address  192.168.91.33  10 pods on slave-140              since 02:49, 2 audits
       IPAM gave it to adqsdxadc/store-mysql-0: keep that one, restart the other 9
       +3 findings explained by this one (IPA102 IPA130 IPA131)
       ipaudit who 192.168.91.33

ERROR
IPA110 leaked-address         63 addresses on 2 nodes, 60 of them on slave-96, oldest 11d
       since 02:49
       pod shop/web does not exist
       10.65.3.7  10.65.3.8  10.65.3.9  10.65.3.10  10.65.3.11  10.65.3.12  10.65.3.13  10.65.3.14
       10.65.3.15  10.65.3.16  … 53 more
       ipaudit audit --code IPA110 --all

SKIPPED
IPA112 {leaked_service}  as said above (each with its cause: --all)

1 critical, 63 errors, +3 explained; 1 check skipped, 2 need an earlier audit.  History: 3 new, 66
ongoing, 1 resolved.  exit 3 (incomplete)
",
        leaked_service = name(112),
    );
    let text = told(&view, Options::default());
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn clean_is_said_at_once() {
    let text = told(&view(&[], &[]), Options::default());
    let read = "2,310 blocks, 69,689 handles, 4,511 endpoints and 4,498 live pods";
    let told_well = text.replace("\n  ", " ");
    assert!(told_well.starts_with(&format!("Nothing wrong: 24 checks found nothing in {read}.\n")), "{text}");
    assert_eq!(text.lines().last(), Some("no findings.  exit 0"));
    assert_eq!(told(&view(&[], &[]), Options { quiet: true, ..Options::default() }), "");
}

#[test]
fn silence_of_an_incomplete_audit_proves_nothing() {
    let skipped = [110, 120].map(|code| Skipped {
        code: Code(code),
        reason: "pods: connection refused".into(),
        incomplete: true,
    });
    let mut view = view(&[], &skipped);
    view.checks_run = 22;
    view.audit.complete = false;
    view.exit = Exit::Incomplete;
    view.counts.pods = None;
    for (input, detail) in [(Input::Pods, "connection refused"), (Input::Namespaces, "forbidden")] {
        let row = view.inputs.iter_mut().find(|row| row.input == input).unwrap();
        (row.state, row.detail) = (InputState::Unreachable, detail.into());
    }
    let text = told(&view, Options::default());
    let verdict =
        "BLIND: Kubernetes did not answer for pods and namespaces (connection refused); leaks were not looked";
    assert!(text.starts_with(verdict), "{text}");
    assert!(text.contains("live pods not read"), "{text}");
    let told_above = "\nSKIPPED\n2 checks  as said above (each with its cause: --all)\n       IPA110 IPA120\n\n";
    assert!(text.contains(told_above), "the cause is told once: {text}");
    let section = "\nSKIPPED\n2 checks  pods: connection refused\n       IPA110 IPA120\nnamespaces  forbidden\n";
    let all = told(&view, Options { all: true, ..Options::default() });
    assert!(all.contains(section), "{all}");
    // Quiet keeps quiet about what was found or not, never about what could not be looked at.
    let quiet = told(&view, Options { quiet: true, ..Options::default() });
    assert_eq!(quiet, &section[1..]);
}

/// Dozens of codes say nothing that their number does not say.
#[test]
fn many_skipped_checks_are_a_number_and_a_few_codes() {
    let skipped: Vec<Skipped> = (0..58)
        .map(|code| Skipped { code: Code(100 + code), reason: "pods: forbidden".into(), incomplete: true })
        .collect();
    let view = view(&[], &skipped);
    let codes = |all| told(&view, Options { all, ..Options::default() }).matches("IPA1").count();
    let text = told(&view, Options::default());
    assert!(text.contains("58 checks") && text.contains("IPA109 and 48 more (--all)"), "{text}");
    assert_eq!((codes(false), codes(true)), (10, 58));
}

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
        let text = told(&view(&findings, &[]), Options::default());
        let heads = text.lines().filter(|l| l.trim().starts_with("on node-") && l.contains("must print nothing"));
        assert_eq!(heads.count(), shown, "{text}");
        let commands = text.lines().map(str::trim).filter(|line| line.starts_with("crictl pods --state ready --quiet"));
        assert_eq!(commands.count(), shown, "each on a line of its own: {text}");
        assert_eq!(text.contains("2 more sandboxes to look for; all with --all"), number == 5, "{text}");
    }
}

#[test]
fn quiet_shows_findings_alone() {
    let findings = [leak(0, "node-1", 3)];
    let text = told(&view(&findings, &[]), Options { quiet: true, ..Options::default() });
    let expected = "\
ERROR
IPA110 leaked-address         10.65.3.7  pod shop/web does not exist (on node-1)
       3d old, since 02:49, 2 audits
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn all_shows_every_finding_the_explained_ones_too() {
    let mut findings = vec![duplicate(), folded(102, Severity::Critical)];
    findings.extend((0..20).map(|i| leak(i, "node-1", 1)));
    let text = told(&view(&findings, &[]), Options { all: true, ..Options::default() });
    assert_eq!(text.matches("pod shop/web does not exist").count(), 1 + 20, "{text}");
    assert!(text.contains("explained by IPA101 192.168.91.33"), "{text}");
    assert!(text.contains("\n1 critical, 20 errors, +1 explained.  exit 0"), "{text}");
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
    let text = told(&view(&findings, &[]), Options::default());
    let first: Vec<usize> = [5, 4, 3].map(|i| text.find(&format!("  restart  shop/web-{i}\n")).unwrap()).into();
    assert!(first.is_sorted(), "{text}");
    let order = "\n       restart first:\n       10.65.0.5  shop/web-5 on node-1: free in IPAM\n";
    assert!(text.contains(order), "{text}");
    let rest = "\n       then  10.65.0.2 shop/web-2  10.65.0.1 shop/web-1  10.65.0.0 shop/web-0\n";
    let bulk = "       kubectl -n shop delete pod web-5 web-4 web-3 web-2 web-1 web-0\n       ipaudit audit --code IPA120 --all\n";
    assert!(text.contains(&format!("{rest}{bulk}")), "{text}");
    let all = told(&view(&findings, &[]), Options { all: true, ..Options::default() });
    for i in 0..6 {
        let own = format!("\n       kubectl -n shop delete pod web-{i}\n       ipaudit who 10.65.0.{i}\n");
        assert!(all.contains(&format!("  restart  shop/web-{i}\n")) && all.contains(&own), "{all}");
    }
}

#[test]
fn commands_stand_alone_and_what_they_leave_out_is_said() {
    let mut finding = duplicate();
    finding.next = (0..5).map(|i| format!("kubectl -n ns-{i} delete pod web-0").into()).collect();
    let findings = [finding];
    let mut view = view(&findings, &[]);
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

#[test]
fn a_narrowed_view_says_so_and_keeps_its_flags() {
    let findings: Vec<Finding> = (0..5).map(|i| leak(i, "node-1", 1)).collect();
    let mut narrowed = view(&findings, &[]);
    narrowed.narrow = Narrow { node: Some("node-1".to_owned()), ..Narrow::default() };
    narrowed.hidden = 7;
    let text = told(&narrowed, Options::default());
    assert!(text.contains("ipaudit audit --code IPA110 --node node-1 --all"), "{text}");
    assert!(text.contains("5 errors (7 outside this view)."), "{text}");
    narrowed.findings.clear();
    let text = told(&narrowed, Options::default());
    assert!(text.contains("Nothing found with --node node-1 (7 other findings are outside this view)."), "{text}");
}

#[test]
fn what_was_not_confirmed_and_what_is_others_is_said() {
    let mut finding = leak(0, "node-1", 1);
    finding.state = State::Unconfirmed;
    let findings = [finding];
    let mut view = view(&findings, &[]);
    view.outside = OutsideRow { addresses: 20, nodes: 3 };
    view.audit.scope = Sharing::Shared;
    let text = told(&view, Options { width: 200, ..Options::default() });
    assert!(text.contains("does not exist (on node-1) (unconfirmed)"), "{text}");
    let sentence = "20 addresses on 3 nodes are outside this cluster: not judged; if no other cluster uses this \
        datastore, --scope exclusive\n";
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn many_pools_show_the_fullest() {
    let mut view = view(&[], &[]);
    view.pools = (0..20u32)
        .map(|i| PoolRow {
            cidr: format!("10.{i}.0.0/24"),
            addresses: 256,
            in_use: Some(u128::from(i) * 10),
            free: Some(256 - u128::from(i) * 10),
            ..PoolRow::default()
        })
        .collect();
    let text = told(&view, Options::default());
    assert!(text.contains("\n10.19.0.0/24") && !text.contains("10.3.0.0/24"), "{text}");
    assert!(text.contains("… 12 more pools, less full"), "{text}");
    let all = told(&view, Options { all: true, ..Options::default() });
    assert!(all.contains("\n10.0.0.0/24") && all.contains("\n10.19.0.0/24"), "{all}");
}

#[test]
fn a_hundred_thousand_findings_are_a_few_lines_and_take_a_moment() {
    let mut findings: Vec<Finding> = (0..100_000).map(|i| leak(i, "node-1", 1)).collect();
    for (finding, i) in findings.iter_mut().zip(0u64..) {
        finding.node = Some(format!("node-{}", i % 5_000).into());
        if i % 2 == 0 {
            finding.root = Some(Root { code: Code(110), id: "10.65.3.8".into() });
        }
    }
    let started = std::time::Instant::now();
    let text = told(&view(&findings, &[]), Options::default());
    assert!(text.lines().count() < 20, "{text}");
    assert!(text.contains("50,000 addresses on 2,500 nodes") && text.contains("+50,000 findings"), "{text}");
    // Linear work takes some 0.1 s in a debug build; anything quadratic takes minutes.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// Every place where somebody else's text can stand.
fn foreign(name: &str, number: usize) -> Vec<Finding> {
    (0..number)
        .map(|i| {
            let mut finding = Finding::new(
                Code(if i % 2 == 0 { 101 } else { 503 }),
                Severity::Error,
                Subject::new(SubjectKind::Handle, format!("{name}{i}")),
                name,
            );
            finding.advice = format!("look at {name}").into();
            finding.next = vec![format!("ipaudit who {name}").into(), name.into()];
            finding.node = Some(name.into());
            let endpoint = Evidence::new().with("node", name).with("endpoint", name).with("addresses", vec![name]);
            finding.evidence = Evidence::new()
                .with("keep", name)
                .with("restart", vec![name, name])
                .with("endpoints", vec![endpoint])
                .with("reason", format!("{name}{i}"));
            finding
        })
        .collect()
}

proptest! {
    #[test]
    fn no_name_reaches_the_terminal_raw(name in "\\PC*|.*|[\u{0}-\u{9f}\u{200b}-\u{206f}]{0,20}", number in 1usize..12) {
        let mut findings = foreign(&name, number);
        findings.sort_by_key(|f| f.code);
        let skipped = [Skipped { code: Code(110), reason: format!("pods: {name}").into(), incomplete: true }];
        let mut view = view(&findings, &skipped);
        view.cluster.name = Some(name.as_str().into());
        view.cluster.calico_version = Some(name.as_str().into());
        view.pools[0].name = name.as_str().into();
        view.cluster.guid = name.as_str().into();
        view.unlooked = Some(FailedLook { why: name.as_str().into(), hint: name.as_str().into() });
        view.pools[0].cidr = name.clone();
        view.narrow.node = Some(name.clone());
        for input in &mut view.inputs {
            (input.state, input.detail) = (InputState::Partial, name.as_str().into());
            input.hint = name.as_str().into();
        }
        let mut out = Vec::new();
        crate::render::json::write_lines(&view, &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap();
        prop_assert!(!lines.chars().any(|c| is_hidden(c) && c != '\n'), "{lines:?}");
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        prop_assert_eq!(first["advice"].as_str(), Some(findings[0].advice.raw()));
        for (all, quiet) in [(false, false), (true, false), (false, true)] {
            let text = told(&view, Options { all, quiet, ..Options::default() });
            let raw = text.chars().find(|c| is_hidden(*c) && *c != '\n');
            prop_assert!(raw.is_none(), "{raw:?} in {text:?}");
            // Colour adds its own sequences and nothing else.
            let colored = told(&view, Options { color: true, all, quiet, ..Options::default() });
            let mut plain = String::new();
            let mut rest = colored.as_str();
            while let Some((before, after)) = rest.split_once('\u{1b}') {
                plain.push_str(before);
                rest = after.split_once('m').map_or("", |(_, rest)| rest);
            }
            prop_assert_eq!(plain + rest, text);
        }
    }
}
