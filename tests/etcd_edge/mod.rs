//! What the tests of the etcd edge share: a datastore with everything in it, and a sink with hands.

/// Every test once a version of etcd; a version that is not installed skips it aloud.
macro_rules! both {
    ($($name:ident)*) => {
        mod etcd_3_4 {
            $(#[test] fn $name() {
                crate::servers::need!(Etcd3_4);
                super::$name(crate::servers::EtcdVersion::V3_4);
            })*
        }
        mod etcd_3_7 {
            $(#[test] fn $name() {
                crate::servers::need!(Etcd3_7);
                super::$name(crate::servers::EtcdVersion::V3_7);
            })*
        }
    };
}

mod connecting;
pub mod dns;
mod failing;
mod reading;
mod refusing;
mod streams;

use std::collections::BTreeMap;
use std::net::TcpListener;

use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::{EtcdSettings, Secret, Source};
use ipaudit::decode::Kv;
use ipaudit::error::{Error, chain};
use ipaudit::model::{Input, InputState};
use ipaudit::source::etcd::{EtcdRead, ReadError, ReadOptions, Sink, read};

use etcd_client::{GetOptions, KeyValue};

use crate::servers::{self, Etcd};

pub const RESOURCES: &str = "/calico/resources/v3/projectcalico.org";

/// Key to value, create revision, mod revision, version.
pub type World = BTreeMap<Vec<u8>, (Vec<u8>, i64, i64, i64)>;

/// Keeps what it is given and does something when the first key of a (re)start arrives.
pub struct Kept<'a> {
    /// When it is to be done instead: by the first key that begins so, once.
    pub at: Option<&'static [u8]>,
    /// Where it says that endpoints can be cut.
    pub boundaries: Vec<Vec<u8>>,
    pub world: World,
    pub restarts: u32,
    pub twice: bool,
    meddle: Box<dyn FnMut() + Send + 'a>,
}

impl Kept<'_> {
    pub fn new() -> Kept<'static> {
        Kept::meddling(|| {})
    }

    /// `meddle` runs in the middle of the read, before its first key is taken, on a thread of its own: the
    /// harness blocks, which a thread of the runtime may not.
    pub fn meddling<'a>(meddle: impl FnMut() + Send + 'a) -> Kept<'a> {
        Kept {
            at: None,
            boundaries: Vec::new(),
            world: World::new(),
            restarts: 0,
            twice: false,
            meddle: Box::new(meddle),
        }
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> u64 {
        self.world.iter().map(|(key, (value, ..))| (key.len() + value.len()) as u64).sum()
    }
}

impl Sink for Kept<'_> {
    fn kv(&mut self, kv: Kv<'_>) {
        if self.at.map_or(self.world.is_empty(), |prefix| kv.key.starts_with(prefix)) {
            self.at = self.at.map(|_| &b"nowhere"[..]);
            let meddle = &mut self.meddle;
            std::thread::scope(|scope| scope.spawn(meddle).join().expect("the meddling worked"));
        }
        let stored = (kv.value.to_vec(), kv.create_revision, kv.mod_revision, kv.version);
        self.twice |= self.world.insert(kv.key.to_vec(), stored).is_some();
    }

    fn endpoint_boundaries(&mut self, _keys: usize) -> Vec<Vec<u8>> {
        self.boundaries.clone()
    }

    fn restart(&mut self) {
        self.restarts += 1;
        self.world.clear();
    }
}

pub fn settings(etcd: &Etcd) -> EtcdSettings {
    EtcdSettings::new([etcd.endpoint()])
}

pub fn with_tls(etcd: &Etcd) -> EtcdSettings {
    let file = |path: &std::path::Path| Some(Source::File(path.to_owned()));
    let tls = etcd.tls();
    EtcdSettings { ca_cert: file(&tls.ca), cert: file(&tls.client.cert), key: file(&tls.client.key), ..settings(etcd) }
}

pub fn as_user(etcd: &Etcd, name: &str, password: &str) -> EtcdSettings {
    let password = Some(Source::Inline(Secret::new(password)));
    EtcdSettings { username: Some(name.to_owned()), password, ..settings(etcd) }
}

/// A runtime of the test's own: the harness has another.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// The harness blocks on a runtime of its own: not on a thread of ours.
pub fn etcd_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("the harness worked"))
}

/// Opens a connection with these settings and reads everything.
pub fn read_all(settings: &EtcdSettings, sink: &mut dyn Sink) -> Result<EtcdRead, ReadError> {
    read_with(settings, &ReadOptions::default(), sink)
}

pub fn read_with(settings: &EtcdSettings, options: &ReadOptions, sink: &mut dyn Sink) -> Result<EtcdRead, ReadError> {
    block_on(async {
        let connection = Connection::open(settings).await.map_err(ReadError::Failed)?;
        read(&connection, options, sink).await
    })
}

/// The whole error as a person sees it, with its hint; the test fails when there is none.
pub fn refused(result: Result<EtcdRead, ReadError>) -> String {
    let error: Error = result.expect_err("this read must fail").into();
    format!("{} | {}", chain(&error), error.hint)
}

pub fn refusal(settings: &EtcdSettings) -> String {
    refused(read_all(settings, &mut Kept::new()))
}

pub fn all_complete(read: &EtcdRead) -> bool {
    read.inputs.len() == 7
        && read.inputs.iter().all(|(_, state, detail)| *state == InputState::Complete && detail.is_empty())
}

pub fn state(read: &EtcdRead, input: Input) -> (InputState, &str) {
    let found = read.inputs.iter().find(|(i, _, _)| *i == input).expect("the input was asked for");
    (found.1, &found.2)
}

/// A datastore with every kind of key, `handles` handles and `endpoints` endpoints, and what an audit must leave alone.
pub fn fill(etcd: &Etcd, handles: u32, endpoints: u32) {
    let mut pairs = Vec::new();
    let mut put = |key: String, size: usize| pairs.push((key.into_bytes(), vec![b'x'; size]));
    for name in ["clusterinformations/default", "ipamconfigurations/default", "kubecontrollersconfigurations/default"] {
        put(format!("{RESOURCES}/{name}"), 80);
    }
    put("/calico/ipam/v2/config".into(), 40);
    for name in ["ippools/default", "ipreservations/some", "nodes/node-1", "nodes/node-2", "hostendpoints/node-1-eth0"]
    {
        put(format!("{RESOURCES}/{name}"), 120);
    }
    put("/calico/ipam/v2/host/node-1".into(), 2);
    put("/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26".into(), 30);
    put("/calico/ipam/v2/virtual/load-balancer/ipv4/block/10.66.0.0-26".into(), 30);
    put("/calico/ipam/v2/@/thing/ipv6/block/fd00:65::-122".into(), 30);
    for n in 0..150 {
        put(format!("/calico/ipam/v2/assignment/ipv4/block/10.65.{n}.0-26"), 3000);
    }
    put("/calico/ipam/v2/assignment/ipv6/block/fd00:65::-122".into(), 3000);
    for n in 0..handles {
        // Spread over the whole range of container ids, as hashes are.
        put(format!("/calico/ipam/v2/handle/k8s-pod-network.{:08x}", n.wrapping_mul(2_654_435_761)), 60);
    }
    for name in ["vxlan-tunnel-addr-node-1", "ipip-tunnel-addr-node-1", "zz-other.0123", "k8s-pod-network.\r\neth0"] {
        put(format!("/calico/ipam/v2/handle/{name}"), 60);
    }
    for n in 0..endpoints {
        put(format!("{RESOURCES}/workloadendpoints/ns-{}/node--1-k8s-pod--{n}-eth0", n % 7), 400);
    }
    // Neighbours that begin almost the same, and the big things that nobody asked for.
    for name in ["ippoolsx/a", "nodesx", "felixconfigurations/default", "networkpolicies/ns/a", "profiles/kns.a"] {
        put(format!("{RESOURCES}/{name}"), 50);
    }
    for key in [
        "/calico/ipam/v2/configx",
        "/calico/ipam/v2/hostx/a",
        "/calico/ipam/v2/assignmentx",
        "/calico/v1/x",
        "/calicoz",
    ] {
        put(key.into(), 50);
    }
    etcd.put_many(pairs);
}

/// What a read must deliver: everything under `/calico` in one go, then sorted out by the domain facts' list of keys.
pub fn expected(etcd: &Etcd) -> World {
    let options = GetOptions::new().with_prefix();
    let mut kv = etcd.client().kv_client().max_decoding_message_size(256 << 20);
    let answer = servers::block_on(kv.get("/calico", Some(options))).expect("all keys");
    let taken = answer.kvs().iter().filter(|kv| is_wanted(kv.key_str().unwrap_or_default()));
    let stored = |kv: &KeyValue| (kv.value().to_vec(), kv.create_revision(), kv.mod_revision(), kv.version());
    taken.map(|kv| (kv.key().to_vec(), stored(kv))).collect()
}

/// Written from the domain facts, not from the code's own list.
fn is_wanted(key: &str) -> bool {
    let ipam = |rest: &str| {
        rest == "config" || ["assignment/", "handle/", "host/", "virtual/", "@/"].iter().any(|p| rest.starts_with(p))
    };
    let resource = |rest: &str| {
        ["clusterinformations/default", "ipamconfigurations/default", "kubecontrollersconfigurations/default"]
            .contains(&rest)
            || ["workloadendpoints/", "nodes/", "ippools/", "ipreservations/", "hostendpoints/"]
                .iter()
                .any(|p| rest.starts_with(p))
    };
    key.strip_prefix("/calico/ipam/v2/").is_some_and(ipam)
        || key.strip_prefix("/calico/resources/v3/projectcalico.org/").is_some_and(resource)
}

/// An endpoint where nobody listens. The port is held by a socket that does not accept, so that no other server gets it.
pub struct Dead {
    pub endpoint: String,
    _held: std::os::fd::OwnedFd,
}

impl Dead {
    /// Bound but not listening: connections are refused.
    pub fn new() -> Dead {
        // A listener cannot be stopped from listening; a connected pair's local port refuses as well.
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let held = std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("to ourselves");
        let port = held.local_addr().expect("its address").port();
        Dead { endpoint: format!("http://127.0.0.1:{port}"), _held: held.into() }
    }
}
