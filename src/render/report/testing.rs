//! A small report for the renderers' tests.

use std::time::Duration;

use super::first::Telling;
use super::*;
use crate::model::row::{AuditAt, FindingRow, PoolNumbers};
use crate::model::{Code, Observation, Root, Severity, State, SubjectKind};

pub fn at(hour: i64) -> Time {
    Time(1_795_500_000_000_000_000 + hour * 3_600_000_000_000)
}

pub fn seen(hour: i64) -> AuditAt {
    AuditAt { audit: hour, at: at(hour) }
}

pub fn line(code: u16, severity: Severity, subject: &str) -> Episode {
    let finding = FindingRow {
        code: Code(code),
        kind: SubjectKind::Address.into(),
        subject: subject.into(),
        severity,
        state: State::Confirmed.into(),
        summary: "pod shop/web-0 does not exist".into(),
        root: None,
        node: Some("node-1".into()),
        namespace: Some("shop".into()),
        pool: None,
    };
    Episode {
        id: 1,
        finding,
        number: 1,
        opened: seen(1),
        last_seen: seen(9),
        audits_seen: 33,
        ended: None,
        ending: Ending::Open,
    }
}

/// As a terminal tells what others wrote.
pub fn telling() -> Telling<'static> {
    Telling { when: &|time| time.to_string(), foreign: &|text| text.shown().into_owned() }
}

/// Two new, one ongoing that explains another, one that came back under an ugly name, one nobody looked at, one
/// that was released.
pub fn report() -> ReportView {
    let mut explained = line(102, Severity::Critical, "10.0.0.1");
    explained.opened = seen(-5);
    explained.finding.root = Some(Root { code: Code(101), id: "10.0.0.1".into() });
    let mut cluster = ClusterReport {
        guid: "6f1c2a9e0000".into(),
        kubernetes_uids: vec!["uid-1".into()],
        since: at(0),
        audits: 96,
        first_audit: Some(at(0)),
        last_audit: Some(at(10)),
        new: vec![line(110, Severity::Error, "10.0.0.10"), line(110, Severity::Error, "10.0.0.9")],
        ongoing: vec![Episode { opened: seen(-5), ..line(101, Severity::Critical, "10.0.0.1") }, explained],
        came_back: vec![Episode { number: 2, ..line(201, Severity::Warning, "k8s-pod-network.\u{202e}x\r") }],
        not_looked_at: vec![Episode { ending: Ending::InputMissing, ..line(114, Severity::Note, "10.0.0.77") }],
        ended: vec![Episode {
            ended: Some(seen(5)),
            ending: Ending::Released(Some(7)),
            ..line(110, Severity::Error, "10.0.0.4")
        }],
        leaks: Leaks {
            began: vec![(at(2), Some("node-1".into())), (at(2), Some("node-1".into()))],
            found_at_first: 1,
            watched: Duration::from_secs(36_000),
        },
        release: ReleaseFacts {
            audits: (-9..=10).map(seen).collect(),
            observed: (0..10).map(|id| (id, Observation { audits: 9, first: at(1), last: at(10) })).collect(),
            ..ReleaseFacts::default()
        },
        reboots: vec![Reboot { node: "node-1".into(), before: seen(1), after: seen(2) }],
        pools: vec![PoolTrend {
            name: "default".into(),
            cidr: "10.0.0.0/16".into(),
            closed: None,
            points: (0..4)
                .map(|i| {
                    let numbers = PoolNumbers {
                        addresses: 65_536,
                        allocated: 10 * i,
                        in_use: 8 * i,
                        leaked: i,
                        cooling: 4,
                        free: 65_500 - 10 * i,
                        blocks: 1024,
                        free_blocks: 9,
                        ..PoolNumbers::default()
                    };
                    (at(i), numbers)
                })
                .collect(),
        }],
        ..ClusterReport::default()
    };
    cluster.sort();
    let clusters = vec![cluster];
    let exit = exit(&clusters, &[], FailOn::default());
    ReportView {
        since: at(0),
        until: at(24),
        now: at(24),
        clusters,
        failed: Vec::new(),
        narrowed_by: Vec::new(),
        db: None,
        exit,
    }
}
