//! Whole outputs of hand-made audits: what people see, letter by letter where the letter matters.

mod bounds;
mod groups;

use std::time::Duration;

use super::*;
use crate::checks::Skipped;
use crate::checks::datastore::datastore_went_back;
use crate::exit::Exit;
use crate::model::{
    Code, Evidence, FailedLook, Finding, FindingKeeper, Foreign, Input, InputState, KeptFinding, Life, Root, Severity,
    Sharing, State, Subject, SubjectKind, Time,
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
fn view<'a>(findings: &'a [KeptFinding], skipped: &'a [Skipped]) -> AuditView<'a> {
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
        nodes_again: crate::render::NodesAgain::default(),
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
    let kept = FindingKeeper::all(findings);
    let mut view = view(&kept, &skipped);
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
2,310 blocks  69,689 handles  4,511 endpoints  4,498 live pods  212 nodes  read in 0.9s
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
    let verdict = "BLIND: Kubernetes did not answer for pods (connection refused); Kubernetes did not answer for namespaces \
        (forbidden); leaks were not looked";
    assert!(text.replace("\n  ", " ").starts_with(verdict), "{text}");
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

#[test]
fn quiet_shows_findings_alone() {
    let findings = [leak(0, "node-1", 3)];
    let text = told(&view(&FindingKeeper::all(findings.clone()), &[]), Options { quiet: true, ..Options::default() });
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
    let text = told(&view(&FindingKeeper::all(findings.clone()), &[]), Options { all: true, ..Options::default() });
    assert_eq!(text.matches("pod shop/web does not exist").count(), 1 + 20, "{text}");
    assert!(text.contains("explained by IPA101 192.168.91.33"), "{text}");
    assert!(text.contains("\n1 critical, 20 errors, +1 explained.  exit 0"), "{text}");
}

#[test]
fn a_narrowed_view_says_so_and_keeps_its_flags() {
    let findings: Vec<Finding> = (0..5).map(|i| leak(i, "node-1", 1)).collect();
    let kept = FindingKeeper::all(findings);
    let mut narrowed = view(&kept, &[]);
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
    let kept = FindingKeeper::all(findings);
    let mut view = view(&kept, &[]);
    view.outside = OutsideRow { addresses: 20, nodes: 3 };
    view.audit.scope = Sharing::Shared;
    let text = told(&view, Options { width: 200, ..Options::default() });
    assert!(text.contains("does not exist (on node-1) (unconfirmed)"), "{text}");
    let sentence = "20 addresses on 3 nodes are outside this cluster: not judged";
    let asked = format!(
        "{sentence}; if no other cluster uses this datastore, say so:\n       ipaudit audit --scope exclusive\n"
    );
    assert!(text.contains(&asked), "{text}");
    // Under a restore nobody is asked for that word.
    let mut restored = leak(0, "node-1", 1);
    restored.code = datastore_went_back::CHECK.code;
    let kept = FindingKeeper::all([restored]);
    view.findings = kept.iter().collect();
    let text = told(&view, Options { width: 200, ..Options::default() });
    assert!(text.contains(&format!("{sentence}\n")) && !text.contains("exclusive"), "{text}");
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
