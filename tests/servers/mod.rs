//! Real servers for the integration tests: etcd 3.4 and 3.7, a kube-apiserver,
//! a TCP proxy that misbehaves on demand, and nodes made of network namespaces.
//!
//! A test binary says `mod servers;` and asks for what it needs with
//! `servers::need!(Etcd3_7, ApiServer)`; a server that is not installed skips
//! the test aloud (and fails it in CI). Every server listens on a free loopback
//! port, keeps its data in a temporary folder, is stopped by its pid, and dies
//! with the test process whatever happens to it.
//!
//! The API is blocking; do not call it from inside an async runtime.
//! Nothing here imports ipaudit: the harness must not share a bug with it.
#![allow(dead_code, unused_macros, unused_imports)] // each test binary uses a part
// A harness that cannot go on fails the test: panics are its errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod binaries;
pub mod command;
pub mod etcd;
pub mod etcd_cluster;
pub mod etcd_data;
pub mod etcd_snapshot;
pub mod etcd_trouble;
pub mod etcd_users;
pub mod golden;
pub mod http1;
pub mod http2;
pub mod kube;
pub mod kube_flags;
pub mod kube_load;
pub mod kube_users;
pub mod kubelet;
pub mod namespaces;
pub mod process;
pub mod proxy;
pub mod recorded;
pub mod skip;
pub mod tls;

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use self::kube::ApiServer;
pub use etcd::{Etcd, EtcdVersion};
pub use golden::Case;
pub use proxy::Proxy;
pub(crate) use skip::need;
pub use tls::Tls;

/// The runtime behind the blocking API: one for the process, never dropped, so
/// that a connection made by one test thread outlives it.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the test servers")
    })
}

/// Runs one future to its end on the harness' runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Asks every 20 ms until there is an answer; `None` at the deadline. The
/// deadline is for a broken world only, a healthy one answers long before.
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// [`poll`] for a condition that the test relies on: panics at the deadline.
pub fn eventually(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    if poll(limit, || ask().then_some(())).is_none() {
        panic!("{what}: still not so after {limit:?}");
    }
}

/// A loopback port that was free a moment ago. Somebody may take it before the
/// server binds it: whoever uses it checks that its own child answers.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free loopback port");
    listener.local_addr().expect("its number").port()
}

/// A name that no other server on this machine has: process, time, counter.
pub fn unique_name(kind: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{kind}-{}-{nanos:x}-{count}", std::process::id())
}
