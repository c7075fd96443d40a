//! A cluster of any size, as Calico would have written it: the datastore's keys and Kubernetes' objects. Healthy, or
//! with the leftovers of years ([`Plan`]); and the same one after some of its pods were replaced ([`Cluster::churn`]).
//!
//! Deterministic: the same number of pods gives the same bytes on every machine. Blocks of /26 at random places of
//! the pool, filled by churn (shuffled queues, sequence numbers), one handle and one endpoint of 1.2 KB a pod,
//! sixty pods a node, IPIP tunnels, affinities, 0.2 % borrowed addresses; beside them the noise that an audit must
//! not read (policies, profiles), about a seventh of the bytes. `tests/generator.rs` holds it to be what it claims.
//!
//! Nothing here imports ipaudit: what is measured must not be built by what measures it.
#![allow(dead_code, unused_imports)] // the bench and the tests use a part each
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod churn;
mod datastore;
mod kubernetes;
mod random;
mod storage;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use random::Random;

/// The moment at which the cluster is healthy: the audit's `--now`.
pub const NOW: &str = "2026-11-24T03:00:00Z";
/// [`NOW`] in seconds since 1970.
const NOW_SECONDS: i64 = 1_795_489_200;

const POOL: &str = "10.0.0.0/10";
const POOL_START: u32 = 10 << 24;
/// Blocks of /26 that the pool has room for.
const POOL_BLOCKS: u32 = 1 << 16;
const BLOCK_SIZE: usize = 64;
const PODS_PER_NODE: usize = 60;
const PODS_PER_NAMESPACE: usize = 50;
const PODS_PER_APP: usize = 10;
/// One address in so many is borrowed from another node's block.
const BORROWED: usize = 500;

/// What a cluster is made of.
#[derive(Clone, Copy, Default)]
pub struct Plan {
    pub pods: usize,
    /// Pods that Kubernetes has forgotten, while IPAM and their endpoints go on: leaks with stale endpoints.
    pub leaks: usize,
    /// Handles of addresses that were given back long ago.
    pub orphans: usize,
    /// Blocks that a node has claimed and never used.
    pub empty_blocks: usize,
}

impl Plan {
    /// A healthy cluster.
    pub fn of(pods: usize) -> Plan {
        Plan { pods, ..Plan::default() }
    }

    /// The leftovers of years, in the measure of 150,000 pods with 63,000 orphaned handles, 5,000 leaks with stale
    /// endpoints and 30,000 empty blocks.
    pub fn old(pods: usize) -> Plan {
        Plan { pods, leaks: pods / 30, orphans: pods * 42 / 100, empty_blocks: pods / 5 }
    }
}

/// A cluster in lean form; its texts are made when they are written.
pub struct Cluster {
    plan: Plan,
    seed: u64,
    namespaces: Vec<String>,
    nodes: Vec<Node>,
    /// Those that are gone too: a pod keeps its place.
    pods: Vec<Pod>,
    blocks: Vec<Block>,
    /// How often pods were replaced.
    rounds: usize,
}

struct Node {
    name: String,
    uid: String,
    /// The host's own address.
    host: Ipv4Addr,
    tunnel: Ipv4Addr,
}

struct Pod {
    name: String,
    app: String,
    /// A StatefulSet's pod; otherwise a Deployment's.
    stateful: bool,
    namespace: usize,
    node: usize,
    address: Ipv4Addr,
    /// The sandbox, 64 hex digits.
    container: String,
    /// Seconds since 1970.
    created: i64,
    fate: Fate,
}

/// Who still knows of a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// Calico alone.
    Leaked,
    /// Nobody: it was replaced.
    Gone,
}

/// Who has an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Tunnel(usize),
    Pod(usize),
}

struct Block {
    start: Ipv4Addr,
    node: usize,
    /// By ordinal.
    holders: [Option<Holder>; BLOCK_SIZE],
    /// Ordinals in the order in which they will be handed out.
    free: Vec<usize>,
    /// What led here from the block as it was first written.
    changes: Vec<Change>,
}

/// One address given back, and the next one in the queue handed out.
#[derive(Clone, Copy)]
struct Change {
    freed: usize,
    was: Holder,
    given: usize,
    to: Holder,
}

/// What became of the keys under `/calico`. Each key once.
#[derive(Default)]
pub struct Changes {
    pub puts: Vec<(String, String)>,
    pub deletes: Vec<String>,
    /// Pods that are gone, and those in their places: for [`Cluster::stored_pod`].
    pub pods: Vec<(usize, usize)>,
}

impl Cluster {
    /// A healthy cluster of so many pods.
    pub fn of(pods: usize) -> Cluster {
        Cluster::new(Plan::of(pods))
    }

    pub fn new(plan: Plan) -> Cluster {
        let mut random = Random::new(plan.pods as u64 ^ 0x1bad_5eed);
        let count = plan.pods.div_ceil(PODS_PER_NODE).max(2);
        let nodes: Vec<Node> = (0..count).map(|i| node(i, &mut random)).collect();
        let namespaces: Vec<String> = (0..plan.pods.div_ceil(PODS_PER_NAMESPACE).max(1)).map(namespace).collect();
        let mut pods: Vec<Pod> = (0..plan.pods).map(|i| pod(i, count, &mut random)).collect();
        for i in plan.pods..plan.pods + plan.leaks {
            let namespace = random.below(namespaces.len() as u64) as usize;
            pods.push(Pod { namespace, fate: Fate::Leaked, ..pod(i, count, &mut random) });
        }
        let mut cluster = Cluster { plan, seed: random.next(), namespaces, nodes, pods, blocks: Vec::new(), rounds: 0 };
        cluster.assign(&mut random);
        cluster
    }

    /// Every node claims the blocks that its tunnel and its pods need, at random places of the pool.
    fn assign(&mut self, random: &mut Random) {
        let mut holders: Vec<Vec<Holder>> = (0..self.nodes.len()).map(|n| vec![Holder::Tunnel(n)]).collect();
        for (p, pod) in self.pods.iter().enumerate() {
            // A borrower asks on another node.
            let lender = if p % BORROWED == BORROWED / 2 { (pod.node + 1) % self.nodes.len() } else { pod.node };
            holders[lender].push(Holder::Pod(p));
        }
        let mut places = random.distinct(POOL_BLOCKS);
        for (node, holders) in holders.iter().enumerate() {
            for part in holders.chunks(BLOCK_SIZE) {
                let start = Ipv4Addr::from(POOL_START + places() * BLOCK_SIZE as u32);
                self.fill(Block::at(start, node), part, random);
            }
        }
        for i in 0..self.plan.empty_blocks {
            let start = Ipv4Addr::from(POOL_START + places() * BLOCK_SIZE as u32);
            let node = i % self.nodes.len();
            self.fill(Block::at(start, node), &[], random);
        }
        self.blocks.sort_by_key(|block| block.start);
    }

    fn fill(&mut self, mut block: Block, part: &[Holder], random: &mut Random) {
        let mut ordinals: Vec<usize> = (0..BLOCK_SIZE).collect();
        random.shuffle(&mut ordinals);
        block.free = ordinals.split_off(part.len());
        for (&ordinal, &holder) in ordinals.iter().zip(part) {
            block.holders[ordinal] = Some(holder);
            let address = Ipv4Addr::from(u32::from(block.start) + ordinal as u32);
            match holder {
                Holder::Tunnel(node) => self.nodes[node].tunnel = address,
                Holder::Pod(pod) => self.pods[pod].address = address,
            }
        }
        self.blocks.push(block);
    }

    /// Allocated addresses, tunnels among them.
    pub fn allocations(&self) -> usize {
        self.endpoints() + self.nodes.len()
    }

    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Those that Kubernetes knows.
    pub fn pods(&self) -> usize {
        self.plan.pods
    }

    /// Of pods that live and of leaked ones.
    pub fn endpoints(&self) -> usize {
        self.plan.pods + self.plan.leaks
    }

    pub fn handles(&self) -> usize {
        self.allocations() + self.plan.orphans
    }

    pub fn plan(&self) -> Plan {
        self.plan
    }

    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Keys that an audit reads: all but the noise.
    pub fn wanted_keys(&self) -> usize {
        let singles = 4;
        singles + 2 * self.blocks.len() + self.handles() + self.nodes.len() + self.endpoints()
    }

    /// The moment at which the cluster is as it is: the audit's `--now`.
    pub fn now(&self) -> String {
        rfc3339(self.now_seconds())
    }

    fn now_seconds(&self) -> i64 {
        NOW_SECONDS + 60 * self.rounds as i64
    }

    fn living(&self) -> impl Iterator<Item = (usize, &Pod)> {
        self.pods.iter().enumerate().filter(|(_, pod)| pod.fate == Fate::Lives)
    }

    /// In one line.
    pub fn describe(&self) -> String {
        let (nodes, blocks, allocations) = (self.nodes.len(), self.blocks.len(), self.allocations());
        let Plan { leaks, orphans, empty_blocks, .. } = self.plan;
        let left = match leaks + orphans + empty_blocks {
            0 => String::new(),
            _ => format!(", {leaks} leaks, {orphans} orphaned handles, {empty_blocks} empty blocks"),
        };
        format!("{nodes} nodes, {blocks} blocks, {allocations} allocations{left}")
    }

    /// Pods of each namespace.
    pub fn pods_by_namespace(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for (_, pod) in self.living() {
            *counts.entry(self.namespaces[pod.namespace].as_str()).or_insert(0) += 1;
        }
        counts
    }
}

impl Block {
    fn at(start: Ipv4Addr, node: usize) -> Block {
        Block { start, node, holders: [None; BLOCK_SIZE], free: Vec::new(), changes: Vec::new() }
    }
}

fn namespace(i: usize) -> String {
    const TEAMS: [&str; 8] = ["shop", "billing", "search", "identity", "warehouse", "media", "risk", "platform"];
    format!("{}-{:04}", TEAMS[i % TEAMS.len()], i)
}

fn node(i: usize, random: &mut Random) -> Node {
    let host = Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 10)) + i as u32);
    Node { name: format!("worker-{i:05}"), uid: random.uid(), host, tunnel: Ipv4Addr::UNSPECIFIED }
}

fn pod(i: usize, nodes: usize, random: &mut Random) -> Pod {
    const APPS: [&str; 5] = ["frontend", "api", "worker", "cache", "store"];
    let app_number = i / PODS_PER_APP;
    let app = format!("{}-{app_number}", APPS[app_number % APPS.len()]);
    let stateful = app.starts_with("store");
    let name = match stateful {
        true => format!("{app}-{}", i % PODS_PER_APP),
        false => format!("{app}-{}-{}", template_hash(&app), random.suffix()),
    };
    Pod {
        name,
        app,
        stateful,
        namespace: i / PODS_PER_NAMESPACE,
        node: random.below(nodes as u64) as usize,
        address: Ipv4Addr::UNSPECIFIED,
        container: random.hex(64),
        created: NOW_SECONDS - 3_600 - random.below(30 * 86_400) as i64,
        fate: Fate::Lives,
    }
}

/// All pods of a Deployment carry the same one.
fn template_hash(app: &str) -> String {
    Random::of(app).word(10)
}

/// `2026-11-24T03:00:00Z`
fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// As Go's `time.String()` prints it: `2026-11-24 03:00:00.5 +0000 UTC`.
fn go_time(seconds: i64, nanoseconds: u64) -> String {
    let text = rfc3339(seconds).replace('T', " ").replace('Z', "");
    let fraction = format!("{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{text}{dot}{fraction} +0000 UTC")
}

/// The date of a day since 1970 (Hinnant's algorithm for the civil calendar).
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
