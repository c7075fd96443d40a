//! Runs one command and asks the kernel what it cost.
//!
//! A process starts with the peak memory of the one that forked it. So the measured command is started by a small
//! process of its own (this program again, as `measure`), not by the bench with its clusters in memory.
#![allow(unsafe_code)] // wait4 and sysconf

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

/// What is measured.
pub struct Measured {
    pub name: String,
    pub program: String,
    pub args: Vec<String>,
    /// A history that is taken away before every run.
    pub fresh: Option<PathBuf>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of CPU, user and system, of the command.
    pub cpu: f64,
    /// Seconds of CPU of the server meanwhile; the kernel counts in hundredths.
    pub server_cpu: f64,
    /// The same of others who serve the pods.
    pub others_cpu: f64,
    /// Most memory at once, MiB.
    pub peak: f64,
    pub exit: i32,
}

/// Runs `command` with its output in a file.
pub fn run(command: &Command, output: &Path, server: u32, others: &[u32]) -> Cost {
    let mut measured = Command::new(std::env::current_exe().expect("our own path"));
    measured.arg("measure").arg(output).arg(command.get_program()).args(command.get_args()).env_clear();
    measured.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        measured.current_dir(folder);
    }
    let of_others = || others.iter().map(|pid| cpu_of(*pid)).sum::<f64>();
    let (before, others_before) = (cpu_of(server), of_others());
    let answer = measured.stderr(Stdio::inherit()).output().expect("the measuring process");
    let (server_cpu, others_cpu) = (cpu_of(server) - before, of_others() - others_before);
    let said: Value = serde_json::from_slice(&answer.stdout)
        .unwrap_or_else(|e| panic!("the measuring process: {}, its answer: {e}", answer.status));
    let number = |name: &str| said[name].as_f64().expect("a number");
    Cost {
        wall: number("wall"),
        cpu: number("cpu"),
        server_cpu,
        others_cpu,
        peak: number("peak_kib") / 1024.0,
        exit: number("exit") as i32,
    }
}

/// The measuring process: `measure OUTPUT PROGRAM ARGS…`.
pub fn child(args: &[String]) {
    let (output, program) = (&args[0], &args[1]);
    let output = File::create(output).expect("a file for the output");
    let mut command = Command::new(program);
    command.args(&args[2..]).stdin(Stdio::null()).stdout(output);
    let started = Instant::now();
    #[allow(clippy::zombie_processes)] // wait4 below is its wait
    let child = command.spawn().expect("the command starts");
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = libc::pid_t::try_from(child.id()).expect("a pid");
    // SAFETY: both pointers are to live values of the right types; nobody else waits for this child.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let wall = started.elapsed().as_secs_f64();
    assert_eq!(waited, pid, "wait4");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let exit = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 };
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    super::print::print(&json!({"wall": wall, "cpu": cpu, "peak_kib": usage.ru_maxrss, "exit": exit}).to_string());
}

/// Seconds of CPU that a running process has used, from proc(5): fields 14 and 15, counted behind the name.
fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running server");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().expect("ticks")).sum();
    // SAFETY: no pointers.
    ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}
