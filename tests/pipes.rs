//! Files that are pipes: standard input and `<(…)` are read as any file; one that nobody writes to is told and not waited for in
//! silence, and a signal ends the wait as README says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use servers::command::{ipaudit, ipaudit_that_hears, json, stderr};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");
const OBJECTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/cluster.json.gz");
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";
const LIMIT: Duration = Duration::from_secs(60);

/// A pipe with a name that nobody has opened.
fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// A run, and its standard error line by line.
struct Waiting {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Waiting {
    /// Started, and so far that it has said what it waits for.
    fn start(args: &[&str], pipe: &Path) -> Waiting {
        let mut child = ipaudit_that_hears().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut waiting = Waiting { lines: BufReader::new(child.stderr.take().unwrap()).lines(), child };
        waiting.says(&format!("waiting for {}, which has given nothing yet", pipe.display()));
        waiting
    }

    fn says(&mut self, words: &str) {
        let said = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(words));
        assert!(said.is_some(), "{words}: standard error has ended");
    }

    fn kill(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> ExitStatus {
        servers::poll(LIMIT, || self.child.try_wait().unwrap()).unwrap_or_else(|| {
            self.child.kill().unwrap();
            panic!("it waits for ever");
        })
    }
}

/// As a shell shows it: 128 and the signal.
fn shown(status: ExitStatus) -> i32 {
    status.signal().map_or_else(|| status.code().unwrap(), |signal| 128 + signal)
}

#[test]
fn a_pipe_that_gives_nothing_is_told_and_a_signal_ends_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let at = pipe.to_str().unwrap();
    let db = folder.path().join("history.db").display().to_string();
    for args in [
        &["audit", "--from", at][..],
        &["audit", "--etcd-endpoints", NOWHERE, "--kube-objects", at],
        &["audit", "--etcd-endpoints", NOWHERE, "--kubeconfig", at],
        &["audit", "--etcd-endpoints", "https://127.0.0.1:1", "--etcd-ca-cert", at],
        &["who", "10.0.0.1", "--from", at],
        &["release", "--handle", "x", "--db", &db, "--etcd-endpoints", NOWHERE, "--kube-objects", at],
        &["release", "--plan", at, "--db", &db, "--etcd-endpoints", NOWHERE],
        &["audit", "--from", CAPTURE, "--settings", at],
    ] {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let waiting = Waiting::start(args, &pipe);
            waiting.kill(signal);
            assert_eq!(shown(waiting.end()), code, "{args:?} {signal}");
        }
    }
    // One that is opened and says nothing is the same.
    let mut holder =
        Command::new("sh").args(["-c", "exec 9> \"$0\"; read x", at]).stdin(Stdio::piped()).spawn().unwrap();
    let waiting = Waiting::start(&["audit", "--from", at], &pipe);
    waiting.kill("INT");
    assert_eq!(shown(waiting.end()), 130);
    drop(holder.stdin.take());
    holder.kill().unwrap_or_default();
    holder.wait().unwrap();
}

/// A watch ends after the audit that runs; a second Ctrl-C at once, whatever that audit waits for.
#[test]
fn a_watch_answers_the_first_signal_and_ends_at_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let args = ["audit", "--watch", "60s", "--etcd-endpoints", NOWHERE, "--kube-objects", pipe.to_str().unwrap()];
    let mut waiting = Waiting::start(&args, &pipe);
    waiting.kill("INT");
    waiting.says("ending after the audit that runs");
    waiting.kill("INT");
    assert_eq!(shown(waiting.end()), 130);
}

#[test]
fn settings_and_a_plan_come_from_a_process() {
    let audit = format!("ipaudit audit -o json --from {CAPTURE} --settings");
    let codes = |output: &Output| {
        let findings = json(output)["findings"].as_array().unwrap().clone();
        findings.iter().filter(|finding| finding["code"] == "IPA101").count()
    };
    assert_eq!(codes(&bash(&format!("{audit} /dev/null || true"))), 1);
    assert_eq!(codes(&bash(&format!("{audit} <(echo 'ignore = [\"IPA101\"]') || true"))), 0);
    assert_eq!(codes(&bash(&format!("echo 'ignore = [\"IPA101\"]' | {audit} - || true"))), 0);
    // What it says is read, whatever becomes of it.
    for script in ["ipaudit release --plan <(echo '{}')", "echo '{}' | ipaudit release --plan -"] {
        let plan = bash(script);
        let said = stderr(&plan);
        assert_eq!(plan.status.code(), Some(2), "{said}");
        assert!(said.contains("cannot read the plan") && said.contains("make it anew"), "{said}");
        assert_eq!(said.contains("(standard input)"), script.ends_with('-'), "{said}");
    }
    // It gives what it has to one flag.
    let twice = bash("echo 'ignore = []' | ipaudit audit --settings - --from - 2>&1 || true");
    assert!(String::from_utf8_lossy(&twice.stdout).contains("one alone can be -"), "{twice:?}");
    for endless in ["release --plan /dev/zero", "audit --settings /dev/zero"] {
        let output = bash(&format!("ipaudit {endless}"));
        assert!(stderr(&output).contains("it has more than"), "{endless}: {}", stderr(&output));
    }
    let again = bash("ipaudit audit --watch 60s --settings <(echo 'ignore = []')");
    assert!(stderr(&again).contains("a pipe ends with the first audit"), "{}", stderr(&again));
}

/// With `--log-format json` that line is an object too.
#[test]
fn the_wait_is_told_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let mut waiting = Waiting::start(&["audit", "--from", pipe.to_str().unwrap(), "--log-format", "json"], &pipe);
    waiting.kill("TERM");
    assert!(waiting.lines.next().is_none(), "one line");
    assert_eq!(shown(waiting.end()), 143);
}

/// `-` is standard output for whoever writes a stream, and no name of a file: neither of a capture nor of a history.
#[test]
fn a_capture_goes_to_standard_output_and_nothing_is_called_minus() {
    servers::need!(Etcd3_7);
    let (etcd, case) = (servers::Etcd::start(servers::EtcdVersion::V3_7), servers::Case::load("two-clusters"));
    case.moment().load_into(&etcd);
    let folder = tempfile::tempdir().unwrap();
    let objects = case.moment().cluster_file.display().to_string();
    let run = |args: &[&str]| ipaudit().current_dir(folder.path()).args(args).output().unwrap();
    let live = ["--etcd-endpoints", &etcd.endpoint(), "--kube-objects", &objects, "--now", &case.moment().captured_at];
    let written = run(&[&["capture", "-f", "-", "--settle", "50ms"], &live[..]].concat());
    assert!(stderr(&written).contains("captured: to standard output"), "{}", stderr(&written));
    std::fs::write(folder.path().join("c.gz"), &written.stdout).unwrap();
    let told = |args: &[&str]| {
        let output = run(args);
        assert!(output.status.code() != Some(2), "{args:?}: {}", stderr(&output));
        json(&output)["findings"].as_array().unwrap().len()
    };
    let of_file = told(&["audit", "-o", "json", "--from", "c.gz", "--now", &case.moment().captured_at]);
    assert!(of_file > 0 && of_file == told(&[&["audit", "-o", "json", "--settle", "50ms"], &live[..]].concat()));
    let some = ["--settle", "50ms"];
    let [audit, who] = [[&["audit"], &live[..], &some].concat(), [&["who", "10.0.0.1"], &live[..]].concat()];
    for args in [&["report"][..], &["history", "check"], &["release", "--list"], &audit, &who] {
        let refused = run(&[args, &["--db", "-"]].concat());
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("a history is a file, and no stream"), "{}", stderr(&refused));
        assert!(refused.stdout.is_empty(), "before anything is read: {args:?}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().count() == 1);
}

fn bash(script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_ipaudit")).parent().unwrap();
    let mut bash = Command::new("bash");
    bash.env_clear().env("PATH", format!("{}:/usr/bin:/bin", binary.display())).env("HOME", "/nonexistent");
    bash.env("IPAUDIT_NO_HISTORY", "true").args(["-euo", "pipefail", "-c", script]).output().unwrap()
}

#[test]
fn a_capture_comes_from_standard_input_and_from_a_process() {
    let from_file = json(&ipaudit().args(["audit", "-o", "json", "--from", CAPTURE]).output().unwrap());
    for script in [
        format!("ipaudit audit -o json --from - < {CAPTURE}"),
        format!("cat {CAPTURE} | ipaudit audit -o json --from -"),
        format!("cat {CAPTURE} | ipaudit audit -o json --from /dev/stdin"),
        format!("ipaudit audit -o json --from <(cat {CAPTURE})"),
        format!("IPAUDIT_FROM=- ipaudit audit -o json < {CAPTURE}"),
    ] {
        let output = bash(&script);
        assert_eq!(output.status.code(), Some(1), "{script}: {}", stderr(&output));
        let document = json(&output);
        assert_eq!(
            (&document["findings"], &document["verdict"]),
            (&from_file["findings"], &from_file["verdict"]),
            "{script}"
        );
    }
    let cut = bash(&format!("head -c 100 {CAPTURE} | ipaudit audit --from -"));
    assert_eq!(cut.status.code(), Some(2));
    assert!(stderr(&cut).contains("cannot read the capture (standard input"), "{}", stderr(&cut));
}

#[test]
fn objects_come_from_standard_input_and_from_a_process() {
    let audit = format!("ipaudit audit -o json --settle 0 --etcd-endpoints {NOWHERE} --kube-objects");
    for script in [
        format!("zcat {OBJECTS} | {audit} -"),
        format!("cat {OBJECTS} | {audit} /dev/stdin"),
        format!("{audit} <(zcat {OBJECTS})"),
    ] {
        let output = bash(&script);
        assert_eq!(output.status.code(), Some(3), "{script}: {}", stderr(&output));
        let document = json(&output);
        let state = |input: &str| -> Value {
            let inputs = document["inputs"].as_array().unwrap();
            inputs.iter().find(|row| row["input"] == input).unwrap()["state"].clone()
        };
        assert_eq!((state("pods"), state("nodes")), ("complete".into(), "complete".into()), "{script}");
    }
    // The same of who may read what: a pipe is not emptied to see whether it is there.
    let asked =
        bash(&format!("zcat {OBJECTS} | ipaudit check-access -o json --etcd-endpoints {NOWHERE} --kube-objects -"));
    let rights = json(&asked)["rights"].as_array().unwrap().clone();
    let objects = rights.iter().find(|right| right["right"] == "objects").unwrap();
    assert_eq!((&objects["target"], &objects["state"]), (&"standard input".into(), &"ok".into()));
}

/// What gives nothing at all is called empty, and not a broken file of whatever it should have been.
#[test]
fn an_input_that_is_empty_is_called_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nothing");
    std::fs::write(&file, "").unwrap();
    let (pipe, file) = (fifo(folder.path()), file.display().to_string());
    let at = pipe.to_str().unwrap();
    let db = folder.path().join("history.db").display().to_string();
    let is_empty = |args: &[&str], says: &str| {
        let mut writer = args.contains(&at).then(|| {
            let shell = Command::new("sh").args(["-c", ": > \"$0\"", at]).spawn();
            shell.unwrap()
        });
        let run = ipaudit().args(args).stdin(Stdio::null()).output().unwrap();
        if let Some(writer) = &mut writer {
            writer.wait().unwrap();
        }
        assert!(stderr(&run).contains(&format!("{says} is empty")), "{args:?}: {}", stderr(&run));
        assert!(!run.status.success() && !stderr(&run).contains("gzip"), "{args:?}: {}", stderr(&run));
    };
    for (path, says) in [(file.as_str(), "the file"), (at, "the pipe"), ("-", "standard input")] {
        is_empty(&["audit", "--from", path], says);
        is_empty(&["who", "10.0.0.1", "--from", path], says);
        is_empty(&["audit", "--etcd-endpoints", NOWHERE, "--kube-objects", path], says);
    }
    let tls = &["audit", "--etcd-endpoints", "https://127.0.0.1:1", "--kube-objects", OBJECTS, "--etcd-ca-cert", &file];
    is_empty(tls, "the file");
    is_empty(&["audit", "--config", &file], "the file");
    let names =
        [(file.as_str(), "the file"), (at, "the pipe"), ("-", "standard input"), ("/dev/stdin", "standard input")];
    for (path, says) in names {
        is_empty(&["release", "--plan", path, "--db", &db, "--etcd-endpoints", NOWHERE], says);
    }
}
