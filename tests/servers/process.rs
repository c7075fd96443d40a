//! Child processes that cannot outlive the test.
//!
//! A child is killed when its [`Server`] is dropped, and by the kernel
//! (`PR_SET_PDEATHSIG`) when the test process dies before that. The kernel sends
//! that signal when the *thread* that forked ends, and libtest gives every test
//! its own thread, so all children are forked by one thread that never ends.
//!
//! What a child prints goes to a file, whose end is part of every panic here.

#![allow(unsafe_code)] // fork, prctl and kill

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::poll;

/// A running child and the file with its output.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with stdout and stderr appended to `log`.
    pub fn spawn(mut command: Command, log: &Path) -> io::Result<Server> {
        let out = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        Ok(Server {
            child: fork_elsewhere(command)?,
            log: log.to_path_buf(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("state of our child")
    }

    /// SIGSTOP, and waits until the kernel has really stopped it.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        let stopped = || (self.state() == Some('T')).then_some(());
        poll(Duration::from_secs(5), stopped).expect("the child stops on SIGSTOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// SIGKILL, and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; SIGKILL when it is still there after `patience`.
    pub fn stop(&mut self, patience: Duration) {
        if self.exited().is_some() {
            return;
        }
        self.signal(libc::SIGTERM);
        if poll(patience, || self.exited()).is_none() {
            self.kill();
        }
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Whether it died because another program has its port.
    pub fn lost_its_port(&self) -> bool {
        self.log_tail().contains("address already in use")
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a pid");
        // SAFETY: kill(2) takes no pointers. The child is not reaped before
        // kill() or exited() saw its end, so the pid is still ours.
        unsafe { libc::kill(pid, signal) };
    }

    /// The state letter of proc(5), which stands after the parenthesised name.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Calls `tidy` when the process exits by itself.
pub fn at_exit(tidy: extern "C" fn()) {
    // SAFETY: a function of this program, which stays loaded to the end; a panic
    // in an extern "C" function aborts and cannot unwind into libc.
    unsafe { libc::atexit(tidy) };
}

/// A command for etcd or its tools without the caller's settings for them:
/// etcdctl refuses a flag that an `ETCDCTL_…` variable sets too.
pub fn etcd_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCD") {
            command.env_remove(name);
        }
    }
    command.env("ETCDCTL_API", "3");
    command
}

/// Runs a tool to its end; its output as an error when it fails.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!(
            "{command:?}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

type Order = (Command, Sender<io::Result<Child>>);

fn fork_elsewhere(mut command: Command) -> io::Result<Child> {
    static FORKER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let parent = std::process::id();
    // SAFETY: prctl and getppid are async-signal-safe and touch no memory.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before prctl: no signal will come then.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    let forker = FORKER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::Builder::new()
            .name("forker".into())
            .spawn(move || {
                for (mut command, reply) in inbox {
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a thread");
        Mutex::new(orders)
    });
    let (reply, answer) = channel();
    let forker = forker.lock().unwrap_or_else(|e| e.into_inner());
    forker.send((command, reply)).expect("the forker lives");
    answer.recv().expect("the forker answers")
}
