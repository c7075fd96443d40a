//! Captures made again and again: what ends them and what does not, and which words are none.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::NODE;
use super::servers::command::{ipaudit, stderr};
use super::servers::eventually;

fn every(args: &[&str], folder: &std::path::Path) -> Child {
    let mut command = ipaudit();
    command.args(["node", "--node", NODE, "--inside", "none", "--every", "1s"]).args(args).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads on until it says this.
fn says(child: &mut Child, words: &str) {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let is_said = lines.map_while(Result::ok).any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains(words))
    });
    assert!(is_said, "{said:?}");
}

fn end(child: &mut Child) -> Duration {
    let began = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
    began.elapsed()
}

/// A folder that is not there yet, a disk that is full: the next one may be written.
#[test]
fn a_capture_that_cannot_be_written_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = every(&["--twice", "0", "--capture", "later/x.json"], folder.path());
    says(&mut child, "later/x.json");
    std::fs::create_dir(folder.path().join("later")).unwrap();
    let written = || folder.path().join("later/x.json").exists();
    eventually("a capture is written", Duration::from_secs(60), written);
    end(&mut child);
}

/// Standard output on a full disk: told, and the next one is tried.
#[test]
fn a_line_that_cannot_be_written_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = ipaudit();
    command.args(["node", "--node", NODE, "--inside", "none", "--every", "1s", "--twice", "0", "--capture", "-"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = command.current_dir(folder.path()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.by_ref().filter(|line| line.contains("No space left")).take(2).count();
    assert_eq!((told, child.try_wait().unwrap()), (2, None));
    end(&mut child);
}

/// The second reading may be hours away.
#[test]
fn a_signal_between_the_readings_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = every(&["--twice", "1h", "--capture", "x.json"], folder.path());
    says(&mut child, "and again in 1h");
    let took = end(&mut child);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(!folder.path().join("x.json").exists());
}

#[test]
fn names_that_are_none_are_refused() {
    for (args, why) in [
        (["--prefix", ""], "with nothing every interface begins"),
        (["--prefix", "cali,"], "with nothing every interface begins"),
        (["--node", "a\nb"], "a node's name has no '\\n'"),
        (["--node-evidence", "pods:../x/a=b"], "\"..\" is no namespace"),
    ] {
        let output = ipaudit().arg("node").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(why), "{args:?}: {}", stderr(&output));
    }
}
