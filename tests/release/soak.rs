//! Thousands of pods come and go, in Calico's order of writes, while releases run in a loop over injected leaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::calico::{Calico, HANDLES, Workload, handle_key};
use super::servers::{self, EtcdVersion, block_on, runtime};
use super::world::World;

/// Blocks of node-1 and node-2, a few each, so that everybody meets.
const RANGES: [(&str, &str); 4] =
    [("10.65.0.0/26", "node-1"), ("10.65.0.64/26", "node-2"), ("10.65.1.0/26", "node-1"), ("10.65.1.64/26", "node-2")];
/// Pods that one worker keeps alive at a time.
const ALIVE: usize = 10;

/// Pods of one worker: each is created, lives, and goes; every tenth leaks. Returns who lives at the end.
async fn churn(
    mut calico: Calico,
    kube: Arc<super::fake_kube::FakeKube>,
    worker: usize,
    pods: usize,
    leaks: Arc<std::sync::Mutex<Vec<String>>>,
) -> Vec<(Workload, &'static str)> {
    let mut alive: Vec<(Workload, &'static str)> = Vec::new();
    for number in 0..pods {
        let (cidr, node) = RANGES[(worker + number) % RANGES.len()];
        let workload = Workload::new(&format!("w{worker}n{number}"), node);
        kube.pod("shop", &workload.pod, node, &[]);
        let address = calico.add(&workload, cidr).await;
        kube.pod("shop", &workload.pod, node, &[&address]);
        alive.push((workload, cidr));
        if alive.len() < ALIVE {
            continue;
        }
        let (old, cidr) = alive.remove(0);
        match number % 10 {
            // Its DEL never ran.
            3 => {
                kube.remove_pod("shop", &old.pod);
                leaks.lock().unwrap().push(old.handle());
            }
            // It died between its handle and its block.
            7 => {
                let id = super::world::of_container(&format!("dead{worker}n{number}"));
                calico.increment(&id, cidr).await;
                leaks.lock().unwrap().push(id);
                calico.del(&old, &[cidr]).await;
                kube.remove_pod("shop", &old.pod);
            }
            _ => {
                calico.del(&old, &[cidr]).await;
                kube.remove_pod("shop", &old.pod);
            }
        }
    }
    alive
}

/// How many addresses each handle has, by all blocks.
fn held(world: &World) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut held: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (_, value) in world.etcd.list("/calico/ipam/v2/assignment/") {
        let block: Value = serde_json::from_slice(&value).unwrap();
        let attributes = block["attributes"].as_array().unwrap();
        let mut ordinals = vec![0; block["allocations"].as_array().unwrap().len()];
        for (ordinal, index) in block["allocations"].as_array().unwrap().iter().enumerate() {
            let Some(index) = index.as_u64() else { continue };
            ordinals[ordinal] += 1;
            let handle = attributes[index as usize]["handle_id"].as_str().unwrap().to_owned();
            *held.entry(handle).or_default().entry(block["cidr"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        for free in block["unallocated"].as_array().unwrap() {
            ordinals[free.as_u64().unwrap() as usize] += 1;
        }
        assert!(ordinals.iter().all(|times| *times == 1), "each ordinal is allocated or free, once: {block}");
    }
    held
}

#[test]
fn no_live_address_is_freed_and_every_leak_goes() {
    servers::need!(Etcd3_7);
    soak(EtcdVersion::V3_7, 4, 500);
}

#[test]
fn the_same_on_the_old_etcd() {
    servers::need!(Etcd3_4);
    soak(EtcdVersion::V3_4, 2, 150);
}

fn soak(version: EtcdVersion, workers: usize, pods: usize) {
    let world = World::new(version);
    for (cidr, node) in &RANGES[2..] {
        world.claim(cidr, node, 64);
    }
    let kube = world.kube.clone();
    let leaks = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..workers)
        .map(|w| {
            runtime().spawn(churn(Calico::new(world.etcd.connect().unwrap()), kube.clone(), w, pods, leaks.clone()))
        })
        .collect();
    let (mut runs, mut done) = (0, 0);
    loop {
        let finished = tasks.iter().all(tokio::task::JoinHandle::is_finished);
        let named = std::mem::take(&mut *leaks.lock().unwrap());
        if !named.is_empty() {
            let run = world.force(&["--handle", &named.join(",")]);
            assert!(matches!(run.code, 0 | 1), "{run:?}");
            runs += 1;
            done += run.json()["outcome"]["done"].as_u64().unwrap_or(0);
            // What was refused (somebody wrote all the time) is tried again.
            // Collected before the lock is taken: the workers of the runtime take it too.
            let left: Vec<String> = named.into_iter().filter(|h| world.value(&handle_key(h)).is_some()).collect();
            leaks.lock().unwrap().extend(left);
        } else if finished {
            break;
        }
    }
    let alive: Vec<(Workload, &str)> = tasks.into_iter().flat_map(|t| block_on(t).unwrap()).collect();
    let held = held(&world);
    for (workload, cidr) in &alive {
        let mine = held.get(&workload.handle()).and_then(|blocks| blocks.get(*cidr)).copied();
        assert_eq!(mine, Some(1), "{workload:?} has lost its address");
        assert_eq!(world.value(&handle_key(&workload.handle())).unwrap()["block"][cidr], 1, "{workload:?}");
    }
    // The two residents live too.
    assert_eq!(held.len(), alive.len() + 2, "every leak is gone: {held:?}");
    let handles = world.etcd.list(HANDLES);
    assert_eq!(handles.len(), held.len(), "no handle without an address");
    assert!(runs > 1 && done > 0, "{runs} runs released {done}");
}
