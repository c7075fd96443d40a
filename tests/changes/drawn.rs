//! Whatever is written, deleted, forgotten, restored, lost or damaged between two audits, in whatever order, in etcd, in
//! Kubernetes, and beside the history: what they find and record is what a full read finds and records.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::Value;

use super::servers::command::ipaudit;
use super::servers::{self, Case, Etcd, EtcdVersion, unique_name};
use super::world::{World, reading};

/// What happens, or who looks. Numbers choose among what is there.
#[derive(Clone, Copy, Debug)]
enum Step {
    Audit,
    /// A key gets a value that another key of its kind has, or had.
    Write(usize, usize),
    /// The same value once more.
    Again(usize),
    Delete(usize),
    /// Of what was deleted.
    Revive(usize),
    /// A value that does not decode.
    Garble(usize, usize),
    /// A key under one of our prefixes that is none of Calico's.
    Odd(usize, bool),
    /// What an audit does not read.
    Noise(usize),
    /// Many revisions at once.
    Burst(usize),
    Compact(usize),
    Restart,
    /// Restored from a snapshot, with the same ids or with others.
    Restore(bool),
    LoseState,
    DamageState(usize),
    LoseSeen,
    DamageSeen(usize),
    /// A pod goes, or comes back.
    Pod(usize),
    /// A pod gets another one's address.
    Move(usize, usize),
    /// Kubernetes is not asked any more, or again.
    Alone,
    /// What has ended is forgotten.
    Prune,
    /// The history is put aside, or comes back as it was.
    Keep,
    Older,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..10_000usize;
    prop_oneof![
        10 => Just(Step::Audit),
        6 => (number.clone(), number.clone()).prop_map(|(key, value)| Step::Write(key, value)),
        2 => number.clone().prop_map(Step::Again),
        6 => number.clone().prop_map(Step::Delete),
        4 => number.clone().prop_map(Step::Revive),
        3 => (number.clone(), number.clone()).prop_map(|(key, at)| Step::Garble(key, at)),
        2 => (number.clone(), any::<bool>()).prop_map(|(which, there)| Step::Odd(which, there)),
        2 => number.clone().prop_map(Step::Noise),
        1 => number.clone().prop_map(Step::Burst),
        7 => number.clone().prop_map(Step::Compact),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Restore),
        1 => Just(Step::LoseState),
        1 => number.clone().prop_map(Step::DamageState),
        1 => Just(Step::LoseSeen),
        1 => number.clone().prop_map(Step::DamageSeen),
        4 => number.clone().prop_map(Step::Pod),
        3 => (number.clone(), number).prop_map(|(pod, of)| Step::Move(pod, of)),
        2 => Just(Step::Alone),
        2 => Just(Step::Prune),
        2 => Just(Step::Keep),
        2 => Just(Step::Older),
    ]
}

const ODD: [&str; 5] = [
    "/calico/ipam/v2/host/node-1",
    "/calico/ipam/v2/handle/a/b",
    "/calico/ipam/v2/assignment/ipv4/block/10.0.0.300-26",
    "/calico/resources/v3/projectcalico.org/workloadendpoints/shop",
    "/calico/ipam/v2/@/somebody/ipv4/block/10.65.0.0-26",
];

/// What is there, and what could be.
struct Drawn<'w> {
    world: &'w World,
    there: BTreeMap<Vec<u8>, Vec<u8>>,
    gone: Vec<(Vec<u8>, Vec<u8>)>,
    /// Pods, and whether each is there; what else Kubernetes has.
    pods: Vec<(Value, bool)>,
    others: Vec<Value>,
}

impl Drawn<'_> {
    fn key(&self, number: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let place = number.checked_rem(self.there.len())?;
        self.there.iter().nth(place).map(|(key, value)| (key.clone(), value.clone()))
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.world.etcd.put(key.clone(), value.clone());
        self.there.insert(key, value);
    }

    fn take(&mut self, step: Step) -> Option<()> {
        let etcd = &self.world.etcd;
        match step {
            Step::Audit => {}
            Step::Write(number, of) => {
                let (key, _) = self.key(number)?;
                let kind = |key: &[u8]| key.split(|b| *b == b'/').take(6).map(<[u8]>::to_vec).collect::<Vec<_>>();
                let alike: Vec<Vec<u8>> =
                    self.there.iter().filter(|(k, _)| kind(k) == kind(&key)).map(|(_, v)| v.clone()).collect();
                let value = alike[of % alike.len()].clone();
                self.put(key, value);
            }
            Step::Again(number) => {
                let (key, value) = self.key(number)?;
                self.put(key, value);
            }
            Step::Delete(number) => {
                let (key, value) = self.key(number)?;
                etcd.delete(key.clone());
                self.there.remove(&key);
                self.gone.push((key, value));
            }
            Step::Revive(number) => {
                let place = number.checked_rem(self.gone.len())?;
                let (key, value) = self.gone.swap_remove(place);
                self.put(key, value);
            }
            Step::Garble(number, at) => {
                let (key, mut value) = self.key(number)?;
                value.truncate(at.checked_rem(value.len()).unwrap_or(0));
                self.put(key, value);
            }
            Step::Odd(which, there) => {
                let key = ODD[which % ODD.len()].as_bytes().to_vec();
                match there {
                    true => self.put(key, b"{}".to_vec()),
                    false => {
                        etcd.delete(key.clone());
                        self.there.remove(&key);
                    }
                }
            }
            Step::Noise(number) => {
                let keys = ["/calico/resources/v3/projectcalico.org/networkpolicies/a", "/calico/x", "/elsewhere"];
                etcd.put(keys[number % keys.len()], "{}");
            }
            Step::Burst(number) => {
                // More revisions than fit into one message of a watch that is behind.
                let (key, value) = self.key(number)?;
                (0..1200).for_each(|_| _ = etcd.put(key.clone(), value.clone()));
            }
            Step::Compact(back) => {
                let revision = etcd.revision() - (back % 4) as i64;
                // Forgotten already, or nothing to forget.
                let _ = servers::block_on(etcd.client().compact(revision, None));
            }
            Step::Restart => etcd.restart(),
            Step::Restore(same) => {
                let snapshot = etcd.snapshot_save();
                match same {
                    true => etcd.restore(&snapshot),
                    false => etcd.restore_with(&snapshot, &["--initial-cluster-token", &unique_name("token")]),
                }
            }
            Step::LoseState => {
                let _ = std::fs::remove_file(self.world.state());
            }
            Step::DamageState(bit) => damage(&self.world.state(), bit)?,
            Step::LoseSeen => {
                let _ = std::fs::remove_file(self.world.seen());
            }
            Step::DamageSeen(bit) => damage(&self.world.seen(), bit)?,
            Step::Pod(number) => {
                let pods = self.pods.len();
                let (_, there) = self.pods.get_mut(number.checked_rem(pods)?)?;
                *there = !*there;
                self.write_objects();
            }
            Step::Move(number, of) => {
                let pods = self.pods.len();
                let status = self.pods.get(of.checked_rem(pods)?)?.0["status"].clone();
                self.pods.get_mut(number.checked_rem(pods)?)?.0["status"] = status;
                self.write_objects();
            }
            Step::Alone => self.world.alone.set(!self.world.alone.get()),
            Step::Prune => {
                let mut prune = ipaudit();
                prune.args(["history", "prune", "--yes", "--keep", "1ms", "--db"]).arg(self.world.db("history.db"));
                assert!(prune.output().unwrap().status.success());
            }
            Step::Keep => _ = std::fs::copy(self.world.db("history.db"), self.world.db("kept.db")).unwrap(),
            Step::Older => _ = std::fs::copy(self.world.db("kept.db"), self.world.db("history.db")).ok()?,
        }
        Some(())
    }

    fn write_objects(&self) {
        let pods = self.pods.iter().filter(|(_, there)| *there).map(|(pod, _)| pod);
        let items: Vec<&Value> = self.others.iter().chain(pods).collect();
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
        std::fs::write(&self.world.objects, list.to_string()).unwrap();
    }
}

fn damage(file: &Path, bit: usize) -> Option<()> {
    let mut bytes = std::fs::read(file).ok()?;
    let place = bit.wrapping_mul(7_919) % (bytes.len() * 8);
    bytes[place / 8] ^= 1 << (place % 8);
    std::fs::write(file, bytes).ok()
}

/// Of the history the rows of what changed were read, and no others.
const CHANGED: &str = "past: what changed";

/// How often an audit was read by each means.
type Seen = BTreeMap<String, usize>;

fn live(version: EtcdVersion, cases: u32, wanted: &[&str]) {
    let seen = RefCell::new(Seen::new());
    let config = Config { cases, rng_seed: RngSeed::Fixed(20_261_130), failure_persistence: None, ..Config::default() };
    let names = ["leaked-pods", "handle-damage", "undecodable", "old-formats", "block-damage", "affinity-damage"];
    let drawn = (0..names.len(), proptest::collection::vec(step(), 12..48));
    let tested = TestRunner::new(config).run(&drawn, |(case, steps)| {
        let mut world = World::of(Etcd::start(version), names[case]);
        let there = Case::load(names[case]).moment().keys.iter().cloned().collect();
        let objects: Value = serde_json::from_slice(&std::fs::read(&world.objects).unwrap()).unwrap();
        world.objects = world.db("objects.json");
        let items = objects["items"].as_array().unwrap().iter().cloned();
        let (pods, others): (Vec<Value>, Vec<Value>) = items.partition(|item| item["kind"] == "Pod");
        let pods = pods.into_iter().map(|pod| (pod, true)).collect();
        let mut drawn = Drawn { world: &world, there, gone: Vec::new(), pods, others };
        drawn.write_objects();
        world.compare();
        for step in steps {
            // A step that finds nothing to do is none.
            let _ = drawn.take(step);
            if matches!(step, Step::Audit) {
                let (document, past) = world.compare_told();
                let (by, why) = reading(&document);
                let by = if by == "full" { format!("full: {why}") } else { by };
                let past = past.rsplit_once(',').map_or(String::new(), |(how, _)| format!("past: {how}"));
                for by in [by, past] {
                    *seen.borrow_mut().entry(by).or_default() += 1;
                }
            }
        }
        world.compare();
        Ok(())
    });
    tested.unwrap_or_else(|e| panic!("{e}"));
    let seen = seen.into_inner();
    println!("{seen:#?}");
    for by in wanted {
        assert!(seen.get(*by).is_some_and(|times| *times > 2), "{by} is hardly tested: {seen:#?}");
    }
}

#[test]
fn what_changed_is_what_a_full_read_finds_on_an_old_etcd() {
    servers::need!(Etcd3_4);
    live(EtcdVersion::V3_4, 12, &["watch", "unchanged", CHANGED]);
}

#[test]
fn what_changed_is_what_a_full_read_finds_on_a_new_etcd() {
    servers::need!(Etcd3_7);
    live(EtcdVersion::V3_7, 16, &["watch", "listing", "unchanged", CHANGED]);
}
