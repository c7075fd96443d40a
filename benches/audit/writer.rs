//! How long another client's writes take while somebody reads: 200 puts a second, and the reader again and again.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::audits::{audit, programs};
use super::measure::Measured;
use super::options::Options;
use super::print::say;
use super::servers::{Etcd, EtcdVersion, block_on};
use super::table::Spread;
use super::world::World;

const PAUSE: Duration = Duration::from_millis(5);
/// Of one window.
const WINDOW: Duration = Duration::from_secs(4);

/// All windows of one reader.
pub struct Reader {
    /// `None`: nobody reads.
    command: Option<Measured>,
    /// Milliseconds of each window: its median, and what 1 % took longer than.
    pub windows: Vec<(f64, f64)>,
}

impl Reader {
    pub fn name(&self) -> &str {
        self.command.as_ref().map_or("nobody", |command| &command.name)
    }
}

impl Reader {
    pub fn spread(&self, of: impl Fn(&(f64, f64)) -> f64) -> Spread {
        Spread::of(self.windows.iter().map(of).collect())
    }
}

/// One cluster with one version.
pub struct Writer {
    pub name: String,
    pub version: EtcdVersion,
    pub readers: Vec<Reader>,
}

pub fn measure(world: &World, version: EtcdVersion, options: &Options) -> Writer {
    let mut commands = vec![None];
    for (mark, program) in programs(options) {
        // Each reads everything, again and again.
        let reader = |name: &str, more: &[&str]| {
            Some(audit(world, format!("{name}{mark}"), &program, &[&["--no-history"], more].concat()))
        };
        commands.push(reader("etcd alone", &[]));
        if mark.is_empty() {
            commands.push(reader("etcd alone, --gentle", &["--gentle"]));
        }
    }
    let mut readers: Vec<Reader> =
        commands.into_iter().map(|command| Reader { command, windows: Vec::new() }).collect();
    let window = if options.quick { Duration::from_millis(300) } else { WINDOW };
    for round in 0..options.rounds {
        say(&format!("{} pods: a writer, round {} of {}", world.name, round + 1, options.rounds));
        for reader in &mut readers {
            reader.windows.push(one_window(world, reader.command.as_ref(), window));
        }
    }
    Writer { name: world.name.clone(), version, readers }
}

fn one_window(world: &World, command: Option<&Measured>, window: Duration) -> (f64, f64) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(command) = command.filter(|_| !over.load(Ordering::Relaxed)) {
                let mut child = start(world, command);
                // The last one is not waited for.
                while child.try_wait().expect("a child").is_none() {
                    if over.load(Ordering::Relaxed) {
                        child.kill().expect("a child");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let latencies = write(&world.etcd, window);
        over.store(true, Ordering::Relaxed);
        latencies
    })
}

fn start(world: &World, command: &Measured) -> Child {
    let mut child = Command::new(&command.program);
    child.args(&command.args).args(["--now", &world.cluster.now()]).env_clear().current_dir(world.path());
    child.env("HOME", world.path().join("home")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().expect("the reader starts")
}

/// Median and 99th percentile of a put, in milliseconds, from when it was sent.
fn write(etcd: &Etcd, window: Duration) -> (f64, f64) {
    let mut client = etcd.client();
    let (began, mut due, mut took) = (Instant::now(), Instant::now(), Vec::new());
    while began.elapsed() < window {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        block_on(client.put("/bench/writer", vec![b'w'; 200], None)).expect("a put");
        took.push(sent.elapsed().as_secs_f64() * 1e3);
        due = (due + PAUSE).max(Instant::now());
    }
    took.sort_by(f64::total_cmp);
    (took[took.len() / 2], took[took.len() * 99 / 100])
}
