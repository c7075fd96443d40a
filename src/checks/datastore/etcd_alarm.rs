//! IPA910: etcd itself has raised an alarm, and takes no writes until somebody disarms it.

use crate::checks::evidence::shell;
use crate::checks::prelude::*;
use crate::model::{EtcdAlarm, EtcdMember};

pub static CHECK: Check = Check {
    code: Code(910),
    name: "etcd-alarm",
    severity: Severity::Error,
    needs: Needs::T,
    // Not one moment between two writes: every member knows of it, and it stands until somebody disarms it.
    steady: Steady::OneMoment,
    subject: SubjectKind::Cluster,
    finds: "etcd has an alarm: NOSPACE (a member's file has reached its quota) or CORRUPT (members' data differ). The \
        members that raised it, and the size of each member's file, are in the evidence.",
    matters: "NOSPACE: etcd refuses every write that stores anything, so no write of Calico's succeeds: no pod starts, \
        and nothing can be released, while everything that runs goes on and reads work. CORRUPT: etcd refuses every \
        write, deletions too, and two members may answer the same question differently: what any tool reads from it, \
        this audit too, may be wrong.",
    arises: "NOSPACE: nobody compacts (`--auto-compaction-retention`), a compacted file is never defragmented, or \
        something writes more than the quota allows (`--quota-backend-bytes`, 2 GiB by default). The alarm stays when \
        there is room again. CORRUPT: a disk, a crash or a fault of etcd damaged a member's file, or a member was \
        brought back with other data; etcd finds it where its corruption checks are on.",
    action: "NOSPACE: compact, defragment each member, disarm, in this order; the commands do it (with the certificate \
        and user that your etcdctl needs). Disarmed without that, it comes back with the next write. Then turn \
        compaction on, or raise the quota. CORRUPT: compare the members' hashes at one revision, stop the one that \
        differs, remove it and add it again with an empty folder (with one member: restore the last good backup); \
        disarm when all agree.",
    silent: "What was read is a file or a capture made before ipaudit asked for etcd's status.",
    ties: Ties { harm: Harm::Outage, ..Ties::ANYBODYS },
    run,
};

/// What to do when etcd refuses a write since it is full.
pub const WHEN_FULL: &str =
    "etcd is full (alarm NOSPACE): compact, defragment, etcdctl alarm disarm; ipaudit explain IPA910";
/// What to read when etcd refuses everything since its members differ.
pub const WHEN_CORRUPT: &str = "etcd's members differ (alarm CORRUPT): ipaudit explain IPA910";

/// What ends an alarm, once its cause is gone.
const DISARM: &str = "alarm disarm";
const DEFRAGMENT: &str = "defrag --cluster";

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let status = &world.snapshot.etcd.status;
    let has = |kind: &str| status.alarms.iter().any(|alarm| alarm.kind == kind);
    let (full, corrupt) = (has(EtcdAlarm::NOSPACE), has(EtcdAlarm::CORRUPT));
    let Some(first) = status.alarms.first() else { return };
    let (kind, says, advice, look) = if corrupt {
        let says = match full {
            true => ", NOSPACE besides: etcd's members differ, it refuses every write",
            false => ": etcd's members differ, it refuses every write",
        };
        let advice = "what is read may be wrong: replace the member whose hash differs, then disarm";
        (EtcdAlarm::CORRUPT, says, advice, Some("endpoint hashkv --cluster"))
    } else if full {
        let advice = "compact, defragment, disarm; then find out why etcd is full";
        (EtcdAlarm::NOSPACE, ": no write of Calico's succeeds: no pod starts", advice, None)
    } else {
        let advice = "see what etcd's manual says of it, then disarm";
        (first.kind.as_str(), ": an alarm of etcd's", advice, Some("alarm list"))
    };
    let endpoints = endpoints(world);
    let compaction = format!("compaction {}", revision(world));
    // Under CORRUPT etcd refuses a compaction too.
    let commands: &[&str] = match (corrupt, full) {
        (true, true) => &[DISARM, &compaction, DEFRAGMENT, DISARM],
        (false, true) => &[&compaction, DEFRAGMENT, DISARM],
        (_, false) => &[DISARM],
    };
    let draft = world
        .draft(&CHECK, world.snapshot.guid(), format!("{kind} on {}{says}", members(&status.alarms, kind)))
        .advice(advice)
        .with_each(look.iter().chain(commands), |d, command| d.next(typed(&endpoints, command)))
        .list("alarms", &status.alarms, alarm_facts)
        .list("members", &status.members, member_facts);
    findings.push(draft.done());
}

/// `member etcd-1 and member etcd-2`.
fn members(alarms: &[EtcdAlarm], kind: &str) -> String {
    let who: Vec<String> = alarms.iter().filter(|a| a.kind == kind).map(EtcdAlarm::who).collect();
    few(&who, " and ")
}

/// As variables: etcdctl refuses a flag whose variable is set as well, and who works with it has them set.
fn typed(endpoints: &str, command: &str) -> String {
    // A file of some GiB takes longer than the five seconds that etcdctl waits.
    let patience = if command == DEFRAGMENT { " ETCDCTL_COMMAND_TIMEOUT=10m" } else { "" };
    format!("ETCDCTL_ENDPOINTS={endpoints}{patience} etcdctl {command}")
}

/// The endpoints that answer: a learner refuses most of it.
fn endpoints(world: &World<'_>) -> String {
    let etcd = &world.snapshot.etcd;
    let voting: Vec<&str> =
        etcd.status.members.iter().filter(|m| !m.learner).map(|member| member.endpoint.as_str()).collect();
    let endpoints = if voting.is_empty() { etcd.endpoints.join(",") } else { voting.join(",") };
    shell(&endpoints)
}

/// The revision up to which history may go: what was read, or what the members say where nothing was.
fn revision(world: &World<'_>) -> i64 {
    let etcd = &world.snapshot.etcd;
    let of_members = etcd.status.members.iter().map(|member| member.revision).max();
    if etcd.revision > 0 { etcd.revision } else { of_members.unwrap_or_default() }
}

fn alarm_facts(alarm: &EtcdAlarm) -> Evidence {
    let name = Some(alarm.name.as_str()).filter(|name| !name.is_empty());
    Evidence::new().with("alarm", alarm.kind.as_str()).with("member", alarm.member.as_str()).with("name", name)
}

fn member_facts(member: &EtcdMember) -> Evidence {
    Evidence::new()
        .with("endpoint", member.endpoint.as_str())
        .with("member", member.id.as_str())
        .with("version", member.version.as_str())
        .with("learner", member.learner)
        .with("db_size", member.db_size)
        .with("db_size_in_use", member.db_size_in_use)
        .with("quota", member.quota)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::checks::{obstacle, run_these};
    use crate::ledger::Ledger;
    use crate::model::{Input, InputState};

    fn alarm(kind: &str, member: &str, name: &str) -> EtcdAlarm {
        EtcdAlarm { kind: kind.to_owned(), member: member.to_owned(), name: name.to_owned() }
    }

    fn member(name: &str, learner: bool) -> EtcdMember {
        EtcdMember { endpoint: format!("http://{name}:2379"), id: "a1".to_owned(), learner, ..EtcdMember::default() }
    }

    fn with(alarms: &[EtcdAlarm]) -> Cluster {
        let mut c = Cluster::healthy();
        c.snapshot.etcd.revision = 1234;
        c.snapshot.etcd.endpoints = vec!["http://one:2379".to_owned(), "http://three:2379".to_owned()];
        c.snapshot.etcd.status.members = vec![member("one", false), member("two", true), member("three", false)];
        c.snapshot.etcd.status.alarms = alarms.to_vec();
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
        assert!(with(&[]).find(&CHECK).is_empty());
    }

    #[test]
    fn nospace_is_one_finding_with_the_commands_in_their_order() {
        let found = with(&[alarm("NOSPACE", "a1", "one"), alarm("NOSPACE", "b2", "")]).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw(), found[0].severity), (1, "guid-1", Severity::Error));
        let summary = "NOSPACE on member one and member b2: no write of Calico's succeeds: no pod starts";
        assert_eq!(found[0].summary, summary);
        let endpoints = "ETCDCTL_ENDPOINTS='http://one:2379,http://three:2379'";
        let commands =
            ["etcdctl compaction 1234", "ETCDCTL_COMMAND_TIMEOUT=10m etcdctl defrag --cluster", "etcdctl alarm disarm"];
        assert_eq!(found[0].next, commands.map(|command| format!("{endpoints} {command}")));
        let evidence = serde_json::to_value(&found[0].evidence).unwrap();
        assert_eq!(
            (evidence["alarms"][0]["name"].as_str(), evidence["alarms"][1]["name"].as_str()),
            (Some("one"), None)
        );
        assert_eq!(evidence["members"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn corrupt_is_worded_otherwise_and_is_not_compacted_before_it_is_disarmed() {
        let found = with(&[alarm("CORRUPT", "a1", "one")]).find(&CHECK);
        assert!(
            found[0].summary.raw().starts_with("CORRUPT on member one: etcd's members differ"),
            "{:?}",
            found[0].summary
        );
        assert!(found[0].next[0].raw().ends_with("endpoint hashkv --cluster") && found[0].next.len() == 2);
        let found = with(&[alarm("CORRUPT", "", ""), alarm("NOSPACE", "a1", "one")]).find(&CHECK);
        assert!(
            found[0].summary.raw().starts_with("CORRUPT on an unknown member, NOSPACE besides"),
            "{:?}",
            found[0].summary
        );
        let last: Vec<&str> = found[0].next.iter().map(|c| c.raw().rsplit(' ').next().unwrap()).collect();
        assert_eq!(last, ["--cluster", "disarm", "1234", "--cluster", "disarm"]);
        let found = with(&[alarm("NEWER", "a1", "one")]).find(&CHECK);
        assert!(found[0].summary.raw().starts_with("NEWER on member one") && found[0].next.len() == 2);
    }

    /// The keys may all be forbidden: the members' word has the revision too.
    #[test]
    fn without_a_revision_of_the_keys_the_members_word_is_taken() {
        let mut c = with(&[alarm("NOSPACE", "a1", "one")]);
        c.snapshot.etcd.revision = 0;
        c.snapshot.etcd.status.members[2].revision = 77;
        assert!(c.find(&CHECK)[0].next[0].raw().ends_with("compaction 77"));
    }

    #[test]
    fn a_status_that_was_not_asked_for_is_no_incompleteness_and_one_that_failed_is() {
        for (state, incomplete) in
            [(InputState::NotAsked, false), (InputState::Unreachable, true), (InputState::Forbidden, true)]
        {
            let mut c = Cluster::healthy();
            c.snapshot.coverage.set(Input::EtcdStatus, state, "");
            let snapshot = c.snapshot();
            let ledger = Ledger::build(&snapshot, c.scope, None);
            let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
            assert_eq!(obstacle(&CHECK, &world).map(|s| s.incomplete), Some(incomplete), "{state:?}");
            assert_eq!(run_these(&world, &[&CHECK]).skipped[0].reason, format!("etcd-status: {}", state.word()));
        }
    }
}
