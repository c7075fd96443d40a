//! At a terminal: the question, its answers, the progress with its estimate.

#![allow(unsafe_code)] // openpty

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::process::Stdio;

use super::calico::{Workload, handle_key};
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, World};

/// Both ends of a pseudo terminal: ours, and the program's.
fn terminal() -> (File, File) {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 50, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both numbers are ours to write to, and the descriptors that come back are nobody else's.
    unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null(), &size), 0);
        (File::from_raw_fd(ours), File::from_raw_fd(theirs))
    }
}

/// Runs at a terminal, answers the question; everything that was shown, and the exit code.
fn at_a_terminal(world: &World, args: &[&str], answer: &str) -> (String, i32) {
    let (mut ours, theirs) = terminal();
    let mut command = world.command("release", &world.etcd.endpoint());
    command.args(args).env("TERM", "xterm");
    let same = || Stdio::from(theirs.try_clone().unwrap());
    let mut child = command.stdin(same()).stdout(same()).stderr(same()).spawn().unwrap();
    drop((theirs, command));
    let mut shown = Vec::new();
    let mut asked = false;
    let mut buffer = [0; 4096];
    // Reading fails when the program's end is closed.
    while let Ok(size @ 1..) = ours.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..size]);
        if !asked && String::from_utf8_lossy(&shown).contains("does it: ") {
            asked = true;
            ours.write_all(answer.as_bytes()).unwrap();
        }
    }
    assert!(asked, "{}", String::from_utf8_lossy(&shown));
    (String::from_utf8_lossy(&shown).into_owned(), child.wait().unwrap().code().unwrap())
}

#[test]
fn only_yes_releases_and_the_question_says_what() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let handle = gone.handle();
    let args = ["--handle", &handle, "--skip-age"];
    for no in ["\n", "y\n", "no\n", "YES\n", "\u{4}"] {
        let (shown, code) = at_a_terminal(&world, &args, no);
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains("Release 1 address of 1 handle? Only \"yes\" does it: "), "{shown}");
        assert!(shown.contains("nothing was written"), "{shown}");
        assert!(world.value(&handle_key(&handle)).is_some(), "{no:?}");
    }
    let (shown, code) = at_a_terminal(&world, &args, "yes\n");
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("DONE: 1 of 1 released in 1 transaction (release 1)"), "{shown}");
    assert!(world.value(&handle_key(&handle)).is_none());
}

#[test]
fn many_show_their_progress_and_an_estimate() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let leaks: Vec<Workload> = (0..5).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    let handles: Vec<String> = leaks.iter().map(Workload::handle).collect();
    let args = ["--handle", &handles.join(","), "--skip-age", "--rate", "4/s"];
    let (shown, code) = at_a_terminal(&world, &args, "yes\n");
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("/5") && shown.contains("/s") && shown.contains(" left"), "{shown}");
    assert!(shown.contains("DONE: 5 of 5 released in 5 transactions"), "{shown}");
}
