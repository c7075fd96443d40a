//! What an audit costs etcd when little changed, or nothing: counted, not timed.

use std::io::Write;

use super::generator::{self, Cluster};
use super::servers::{self, Etcd, EtcdVersion, recorded};
use super::world::{World, decoded, past_reading, reading};

const PODS: usize = 2_000;

/// What one audit asked etcd for.
#[derive(Debug)]
struct Cost {
    by: String,
    decoded: u64,
    /// Reads and transactions that began; questions of etcd for itself are not among them.
    requests: u64,
    watches: u64,
    /// That etcd sent.
    bytes: u64,
    /// Of the history, of what a big cluster has many: that were read.
    rows: u64,
    /// All that the history has; of what was written beside it the inode tells whether it was the whole.
    history: u64,
    beside: [u64; 2],
}

fn metric(etcd: &Etcd, method: &str) -> u64 {
    let text = get(&etcd.address(), "/metrics");
    let wanted = format!("grpc_method=\"{method}\"");
    let counts = text.lines().filter(|line| line.starts_with("grpc_server_started_total{") && line.contains(&wanted));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

fn get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    text
}

fn audit(world: &World) -> Cost {
    let (proxy, endpoint) = world.etcd.behind_proxy();
    let asked = || metric(&world.etcd, "Range") + metric(&world.etcd, "Txn");
    let (requests, watches) = (asked(), metric(&world.etcd, "Watch"));
    let output = world.run(&world.db("history.db"), &endpoint, &[]);
    let document = servers::command::json(&output);
    let told = past_reading(&output);
    let rows = told.rsplit_once(", ").and_then(|(_, rows)| rows.strip_suffix(" rows")?.parse().ok());
    let inode = |path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    Cost {
        rows: rows.unwrap_or_else(|| panic!("{told:?}")),
        history: recorded::rows(&world.db("history.db")).len() as u64,
        beside: [world.state(), world.seen()].map(inode),
        by: reading(&document).0,
        decoded: decoded(&document),
        requests: asked() - requests,
        watches: metric(&world.etcd, "Watch") - watches,
        bytes: proxy.bytes_to_client(),
    }
}

fn world(version: EtcdVersion) -> (World, u64) {
    let cluster = Cluster::of(PODS);
    let etcd = Etcd::start(version);
    let keys: Vec<(Vec<u8>, Vec<u8>)> = cluster.keys().map(|(k, v)| (k.into_bytes(), v.into_bytes())).collect();
    let bytes = keys.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    etcd.put_many(keys);
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects.json");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&objects).unwrap());
    cluster.write_objects(&mut file).unwrap();
    file.flush().unwrap();
    let world = World::with(etcd, generator::NOW.to_owned(), objects);
    (World { folder, ..world }, bytes)
}

/// So many reads are no part of what changed: who answers, how far back it remembers, and the last word.
const AROUND: u64 = 4;
/// Bytes beside those of keys: headers, and what etcd says of itself.
const OVERHEAD: u64 = 64 << 10;

#[test]
fn little_is_asked_for_where_little_changed() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let (world, all) = world(version);
        // The last write is one that is read: behind another one it would be watched again.
        let (key, value) = world.etcd.list("/calico/resources/v3/projectcalico.org/workloadendpoints/").remove(0);
        world.etcd.put(key, value);
        let first = audit(&world);
        assert_eq!((first.by.as_str(), first.watches), ("full", 0));
        assert!(first.decoded > 2 * PODS as u64 && first.bytes > all / 2, "{first:?}");
        assert!(first.history > 4 * PODS as u64, "{first:?}");

        let unchanged = audit(&world);
        println!("{version:?} unchanged: {unchanged:?}; a full read: {first:?}");
        assert_eq!((unchanged.by.as_str(), unchanged.decoded, unchanged.watches), ("unchanged", 0, 0));
        assert!(unchanged.requests <= AROUND && unchanged.bytes < OVERHEAD + 128 * 20_000, "{unchanged:?}");
        assert_eq!(
            (unchanged.rows, unchanged.history),
            (0, first.history + 1),
            "nothing is read, and the audit written"
        );
        assert_eq!(unchanged.beside, first.beside, "what was left is good for another one");

        // One in a hundred is written again.
        let endpoints = world.etcd.list("/calico/resources/v3/projectcalico.org/workloadendpoints/");
        let some: Vec<_> = endpoints.iter().step_by(100).cloned().collect();
        let size: u64 = some.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        some.iter().for_each(|(key, value)| _ = world.etcd.put(key.clone(), value.clone()));
        let changed = audit(&world);
        println!("{version:?} changed: {changed:?}");
        assert_eq!((changed.by.as_str(), changed.decoded, changed.watches), ("watch", some.len() as u64, 1));
        assert!(changed.requests <= AROUND, "{changed:?}");
        assert!(changed.bytes < first.bytes / 4 && changed.bytes > size, "{changed:?}");
        assert_eq!((changed.rows, changed.history), (some.len() as u64, unchanged.history + 1), "their keys");

        // A pod goes, and all that Calico has of it but the allocation.
        let (key, _) = endpoints[7].clone();
        let gone = world.remove_a_pod();
        world.etcd.delete(key);
        let leaked = audit(&world);
        println!("{version:?} {gone} went: {leaked:?}");
        assert!((2..=64).contains(&leaked.rows), "{leaked:?}");
        assert!(leaked.history > changed.history && leaked.history < changed.history + 16, "{leaked:?}");

        // The same, and etcd has forgotten it.
        some.iter().for_each(|(key, value)| _ = world.etcd.put(key.clone(), value.clone()));
        world.etcd.compact(world.etcd.revision());
        let listed = audit(&world);
        println!("{version:?} forgotten: {listed:?}");
        match version {
            EtcdVersion::V3_4 => assert_eq!(listed.by, "full"),
            EtcdVersion::V3_7 => {
                assert_eq!((listed.by.as_str(), listed.decoded), ("listing", some.len() as u64));
                assert!(listed.bytes < first.bytes / 3, "{listed:?}");
            }
        }
    }
}
