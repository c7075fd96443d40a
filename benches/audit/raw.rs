//! The floor: the audit's own read of etcd, with a sink that counts and throws everything away.

use std::collections::BTreeMap;

use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::EtcdSettings;
use ipaudit::decode::Kv;
use ipaudit::source::etcd::{ReadOptions, Sink, read};
use ipaudit::source::etcd_ranges::endpoint_boundaries;
use serde_json::json;

/// Keys, and bytes of keys and values: nothing else is kept.
#[derive(Default)]
struct Counted {
    keys: u64,
    bytes: u64,
    namespaces: BTreeMap<String, usize>,
}

impl Sink for Counted {
    fn kv(&mut self, kv: Kv<'_>) {
        self.keys += 1;
        self.bytes += (kv.key.len() + kv.value.len()) as u64;
        std::hint::black_box(kv);
    }

    fn endpoint_boundaries(&mut self, keys: usize) -> Vec<Vec<u8>> {
        endpoint_boundaries(self.namespaces.iter().map(|(name, pods)| (name.as_str(), *pods)), keys)
    }

    fn restart(&mut self) {
        panic!("compacted in the middle of a bench");
    }
}

/// `raw ENDPOINT stream`, or `raw ENDPOINT NAMESPACES`: a file with the counts of pods that say where endpoints can be
/// cut into bounded ranges.
pub fn child(args: &[String]) {
    let mut counted = Counted::default();
    let streams = args[1] == "stream";
    if !streams {
        let counts = std::fs::read(&args[1]).expect("the namespaces");
        counted.namespaces = serde_json::from_slice(&counts).expect("counts of pods");
    }
    let settings = EtcdSettings::new([args[0].as_str()]);
    let options = ReadOptions { streams, ..ReadOptions::default() };
    // As the binary does it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let connection = Connection::open(&settings).await.expect("a connection");
        read(&connection, &options, &mut counted).await.expect("a read")
    });
    super::print::print(&json!({"keys": counted.keys, "bytes": counted.bytes}).to_string());
}
