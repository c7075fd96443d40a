//! Many orphaned handles at once: all go, in few transactions, and what other clients of etcd notice of it.
//!
//! `IPAUDIT_ORPHANS=63000 cargo test --release --test release bulk -- --nocapture` is the measurement of
//! docs/release.md; as a test it is the same with fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etcd_client::GetOptions;

use super::calico::{block_key, empty_block, handle_key};
use super::servers::{self, EtcdVersion, block_on, runtime};
use super::world::{Run, World};

/// Blocks of the cluster, and those of them that orphans name.
const BLOCKS: usize = 1000;
const NAMED: usize = 800;

fn cidr(i: usize) -> String {
    format!("10.65.{}.{}/26", 4 + i / 4, i % 4 * 64)
}

fn load(world: &World, orphans: usize) {
    let block = |i: usize| (block_key(&cidr(i)), empty_block(&cidr(i), Some("node-1"), 64).to_string());
    let handle = |i: usize| {
        let value = format!(r#"{{"block":{{"{}":1}},"deleted":false}}"#, cidr(i % NAMED));
        (handle_key(&format!("k8s-pod-network.{i:064x}")), value)
    };
    let pairs = (0..BLOCKS).map(block).chain((0..orphans).map(handle));
    world.etcd.put_many(pairs.map(|(key, value)| (key.into_bytes(), value.into_bytes())).collect());
}

/// Another client writes a small key every 5 ms until it is stopped; how long its puts took: median and 99 %.
struct Other {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(Duration, Duration)>,
}

impl Other {
    fn start(world: &World) -> Other {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, mut client) = (stop.clone(), world.etcd.connect().unwrap());
        let task = runtime().spawn(async move {
            let mut took = Vec::new();
            while !flag.load(Ordering::SeqCst) || took.is_empty() {
                let began = Instant::now();
                client.put("/other/key", "x", None).await.unwrap();
                took.push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            took.sort();
            (took[took.len() / 2], took[took.len() * 99 / 100])
        });
        Other { stop, task }
    }

    fn end(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::SeqCst);
        block_on(self.task).unwrap()
    }
}

fn tell(text: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes()).unwrap();
}

fn count(world: &World) -> usize {
    let options = GetOptions::new().with_prefix().with_count_only();
    let answer = block_on(world.etcd.client().get(handle_key("k8s-pod-network.0000"), Some(options))).unwrap();
    answer.count() as usize
}

#[test]
fn many_orphans_go_within_the_rate_and_others_go_on_writing() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let orphans: usize = std::env::var("IPAUDIT_ORPHANS").map_or(1500, |n| n.parse().unwrap());
    load(&world, orphans);
    [1200, 600, 0].into_iter().for_each(|ago| world.audit(ago));
    let idle = Other::start(&world);
    std::thread::sleep(Duration::from_secs(if orphans > 10_000 { 10 } else { 1 }));
    tell(&format!("nothing else: another client's puts: p50, p99 {:?}", idle.end()));
    let (few, all) = (orphans / 10, orphans);
    for (rate, max) in [(Some(20.0), few), (None, all)] {
        let before = count(&world);
        let other = Other::start(&world);
        let began = Instant::now();
        let mut command = world.command("release", &world.etcd.endpoint());
        command.args(["--code", "IPA201", "--older-than", "15m", "--yes", "-o", "json", "--max", &max.to_string()]);
        command.args(rate.iter().flat_map(|r| ["--rate".to_owned(), r.to_string()]));
        let run = Run::of(command.output().unwrap());
        let took = began.elapsed().as_secs_f64();
        let (median, worst) = other.end();
        let outcome = &run.json()["outcome"];
        let number = |name: &str| outcome[name].as_u64().unwrap() as usize;
        assert_eq!((run.code, number("done")), (0, max.min(before)), "{outcome}");
        assert_eq!(count(&world), before - number("done"));
        let transactions = number("transactions");
        if let Some(rate) = rate {
            assert!(took >= (transactions - 1) as f64 / rate, "{transactions} transactions in {took}s");
        }
        let done = number("done");
        tell(&format!(
            "rate {rate:?}: {done} handles in {transactions} transactions in {took:.1}s, plan and all ({:.0}/s); \
             another client's puts: p50 {median:?}, p99 {worst:?}",
            done as f64 / took
        ));
    }
    assert_eq!(count(&world), 0);
}
