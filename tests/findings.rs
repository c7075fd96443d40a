//! What a finding costs while it is kept: bytes that are held, not a time.
#![allow(dead_code, unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "second_look/counting.rs"]
mod counting;
#[path = "../benches/generator/mod.rs"]
mod generator;

use generator::{Cluster, Plan};
use ipaudit::checks::{self, World};
use ipaudit::decode::{self, Kv};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Finding, Gathering, Input, InputState, Snapshot, Time};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// What one finding of an old cluster may cost while it is kept: most are of handles without an address.
const BYTES: usize = 460;

fn snapshot(cluster: &Cluster) -> Snapshot {
    let mut snapshot = Gathering { now: Time::parse_rfc3339(&cluster.now()).unwrap(), ..Gathering::default() };
    for input in Input::ALL {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    for (revision, (key, value)) in (1..).zip(cluster.keys()) {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        let kv = Kv { key, value, create_revision: revision, mod_revision: revision, version: 1 };
        decode::insert(&mut snapshot, &kv);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    cluster.write_objects(&mut &file).unwrap();
    ipaudit::source::kube_objects::read(&[file.path().to_path_buf()], &mut snapshot).unwrap();
    snapshot.sorted()
}

/// The only test of this program: what another one held would be counted too.
#[test]
fn a_finding_is_kept_in_a_third_of_what_it_tells() {
    let cluster = Cluster::new(Plan::old(3_000));
    let snapshot = snapshot(&cluster);
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    let before = counting::held();
    let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
    let kept = counting::held() - before;
    let number = outcome.findings.len();
    assert_eq!(number, 1_460);
    let before = counting::held();
    let opened: Vec<Finding> = outcome.opened().collect();
    let open = counting::held() - before;
    assert!(kept / number <= BYTES, "{} bytes a finding", kept / number);
    assert!(3 * kept <= open, "{kept} bytes kept, {open} open");
    drop(opened);
}
