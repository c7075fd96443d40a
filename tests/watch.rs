//! `audit --watch` on a real etcd: audit after audit, each recorded, until a signal ends it. Nothing here sleeps: each step
//! waits for a line of the one before it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use servers::command::{ipaudit, ipaudit_that_hears};
use servers::http2::Request;
use servers::{Case, Etcd, EtcdVersion};

/// For a broken world only.
const LIMIT: Duration = Duration::from_secs(120);

/// A watch, and the lines of its two streams as they come.
struct Watch {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    seen: Vec<String>,
}

fn reader(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

impl Watch {
    fn start(endpoint: &str, objects: &Path, db: &Path, args: &[&str]) -> Watch {
        let mut command: Command = ipaudit_that_hears();
        // Wide enough for the last line to be one.
        command.env("COLUMNS", "160").env_remove("IPAUDIT_NO_HISTORY").args([
            "audit",
            "--etcd-endpoints",
            endpoint,
            "--settle",
            "0",
        ]);
        command.arg("--kube-objects").arg(objects).arg("--db").arg(db).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap()));
        Watch { child, out, err, seen: Vec::new() }
    }

    /// Waits for a line of standard output that `is_it`.
    fn wait(&mut self, is_it: impl Fn(&str) -> bool) {
        loop {
            let line = self.out.recv_timeout(LIMIT).unwrap_or_else(|e| panic!("{e}: {:?}", self.seen));
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| is_it(line)) {
                return;
            }
        }
    }

    /// The same of standard error.
    fn wait_err(&self, part: &str) {
        while !self.err.recv_timeout(LIMIT).unwrap_or_else(|e| panic!("{e}: no {part:?}")).contains(part) {}
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// What it printed to its end, and how it ended.
    fn end(mut self) -> (Vec<String>, ExitStatus) {
        self.seen.extend(self.out.iter());
        (self.seen, self.child.wait().unwrap())
    }
}

fn loaded() -> (Etcd, Case, tempfile::TempDir) {
    let (etcd, case) = (Etcd::start(EtcdVersion::V3_7), Case::load("two-clusters"));
    case.moment().load_into(&etcd);
    (etcd, case, tempfile::tempdir().unwrap())
}

fn audits(db: &Path) -> i64 {
    let history = rusqlite::Connection::open(db).unwrap();
    history.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
}

fn is_parting(line: &str) -> bool {
    line.starts_with("--- ") && line.ends_with("Z ---")
}

#[test]
fn each_audit_is_recorded_and_a_signal_ends_it_after_the_one_that_runs() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded();
    let db = folder.path().join("history.db");
    let mut watch = Watch::start(&etcd.endpoint(), &case.moment().cluster_file, &db, &["--watch", "1s"]);
    watch.wait(is_parting);
    watch.wait(is_parting);
    // The third has begun.
    watch.signal("-TERM");
    let (lines, status) = watch.end();
    let begun = lines.iter().filter(|line| is_parting(line)).count() + 1;
    let told = lines.iter().filter(|line| line.contains("  exit ")).count();
    assert_eq!((told, status.code()), (begun, Some(1)), "{lines:#?}");
    assert!(begun >= 3 && audits(&db) == i64::try_from(begun).unwrap(), "{begun} {}", audits(&db));
}

#[test]
fn lines_stream_and_a_signal_in_the_pause_ends_it_at_once() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded();
    let db = folder.path().join("history.db");
    let args = ["--watch", "1h", "-o", "jsonl", "--fail-on", "never"];
    let mut watch = Watch::start(&etcd.endpoint(), &case.moment().cluster_file, &db, &args);
    watch.wait(|line| line.starts_with("{\"code\":"));
    watch.signal("-INT");
    let (lines, status) = watch.end();
    // Nobody has looked again (`--settle 0`).
    assert_eq!((status.code(), audits(&db)), (Some(3), 1));
    assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines:?}");
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded();
    let db = folder.path().join("history.db");
    let (proxy, endpoint) = etcd.behind_proxy();
    proxy.hold_answer(Request::Containing(b"/calico/ipam/v2/".to_vec()));
    let watch = Watch::start(&endpoint, &case.moment().cluster_file, &db, &["--watch", "1s", "--etcd-timeout", "10m"]);
    servers::eventually("etcd is asked", LIMIT, || proxy.sprung() > 0);
    watch.signal("-INT");
    watch.wait_err("Ctrl-C once more");
    watch.signal("-INT");
    let (lines, status) = watch.end();
    assert_eq!((lines.len(), status.code(), audits(&db)), (0, Some(130), 0), "{lines:?}");
}

/// A server that never answers holds nobody's shutdown: the audit that runs has eight seconds, whatever `--kube-timeout` says.
#[test]
fn a_signal_gives_up_an_audit_that_does_not_end() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded();
    let (db, kubeconfig) = (folder.path().join("history.db"), folder.path().join("config"));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", silent.local_addr().unwrap()) } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "" } }],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    drop(case);
    let mut command: Command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--watch", "1s", "--kube-timeout", "10m", "--db"]);
    command.arg(&db).args(["--etcd-endpoints", &etcd.endpoint(), "--kubeconfig"]).arg(&kubeconfig);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let err = reader(child.stderr.take().unwrap());
    let asked = silent.accept().unwrap();
    let watch = Watch { child, out: channel().1, err, seen: Vec::new() };
    let signalled = std::time::Instant::now();
    watch.signal("-TERM");
    watch.wait_err("ending after the audit that runs");
    watch.wait_err("given up, and not recorded");
    let (_, status) = watch.end();
    assert!(signalled.elapsed() < Duration::from_secs(60));
    assert_eq!((status.code(), audits(&db)), (Some(143), 0));
    drop(asked);
}

#[test]
fn an_audit_that_fails_is_told_and_the_next_one_tries_again() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded();
    let (db, objects) = (folder.path().join("history.db"), folder.path().join("cluster.json"));
    let mut watch = Watch::start(&etcd.endpoint(), &objects, &db, &["--watch", "1s"]);
    watch.wait_err("the watch goes on");
    std::fs::copy(&case.moment().cluster_file, folder.path().join("copy")).unwrap();
    std::fs::rename(folder.path().join("copy"), &objects).unwrap();
    watch.wait(|line| line.contains("  exit "));
    watch.signal("-TERM");
    let (lines, status) = watch.end();
    let last = lines.iter().rfind(|line| line.contains("  exit ")).unwrap();
    assert!(last.contains(&format!("exit {}", status.code().unwrap())), "{status}: {last}");
}

#[test]
fn what_cannot_be_watched_is_wrong_usage() {
    for (args, why) in [
        (&["--watch", "60s", "--from", "x"][..], "cannot be used with"),
        (&["--watch", "60s", "--now", "2026-11-24T03:04:11Z"], "cannot be used with"),
        (&["--watch", "10ms"], "the shortest is 1s"),
        (&["--watch", "60s", "-o", "sarif"], "of one audit"),
        (&["--watch", "60s", "--kube-objects", "-"], "it ends with the first audit"),
    ] {
        let output = ipaudit().arg("audit").args(args).output().unwrap();
        let said = servers::command::stderr(&output);
        assert!(output.status.code() == Some(2) && said.contains(why), "{args:?}: {said}");
    }
}
