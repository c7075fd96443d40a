//! A credential plugin: what it is called, what it says (`PluginWords`), and the end of one that does not end by itself.
//!
//! The kube crate runs plugins, and waits for each as long as it takes. Who is not waited for any more must not stay
//! behind, nor what it started, whether it is given up or a signal ends us ([`super::ear`]): all of that is known by a
//! variable that the plugin is given and hands on. Only on Linux, where `/proc` tells the variables of a process.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};

use super::plugin_words::PluginWords;
use crate::model::escape::escape;

/// The variable; its value is another one for each client.
const MARK: &str = "RUN_BY_IPAUDIT";

/// How many clients there have been that have one.
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// A program that gives the credentials.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// As the kubeconfig names it, without what looks like arguments.
    pub name: String,
    /// What it writes for people, where we read that and not they themselves.
    pub words: Option<PluginWords>,
    /// The kubeconfig's own words for when it is not there.
    pub install_hint: Option<String>,
    /// `MARK=value`.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    mark: String,
}

impl Plugin {
    /// The program of these credentials, marked for when it runs; `None`: they need none.
    pub fn marked(auth: &mut AuthInfo) -> Option<Plugin> {
        let value = format!("{}{}", own_marks(), CLIENTS.fetch_add(1, Ordering::Relaxed));
        let mark = format!("{MARK}={value}");
        // It goes before `exec`, and takes no variables.
        if let Some(provider) = &auth.auth_provider {
            let name = name(provider.config.get("cmd-path")?);
            return Some(Plugin { name, words: Some(PluginWords::default()), install_hint: None, mark });
        }
        let exec = auth.exec.as_mut()?;
        let name = name(exec.command.as_ref()?);
        leave_the_terminal(exec);
        let words = (exec.interactive_mode == Some(ExecInteractiveMode::Never)).then(|| PluginWords::of(exec));
        let install_hint = exec.install_hint.as_deref().and_then(|text| PluginWords::default().of_people(text));
        let variable = [("name", MARK.to_owned()), ("value", value)].map(|(field, text)| (field.to_owned(), text));
        exec.env.get_or_insert_default().push(HashMap::from(variable));
        Some(Plugin { name, words, install_hint, mark })
    }

    /// Kills whatever of it runs; whether there was anything.
    pub fn end(&self) -> bool {
        let mut ended = false;
        // Who was being started meanwhile is found by the next round.
        for _ in 0..ROUNDS {
            let found = processes::awaited(&self.mark);
            if found.is_empty() {
                break;
            }
            ended = true;
            found.into_iter().for_each(processes::kill);
        }
        ended
    }
}

/// As kubectl has it: a plugin that may do without a terminal is not given a standard input that is none. What it writes is
/// then ours to tell.
fn leave_the_terminal(exec: &mut ExecConfig) {
    if exec.interactive_mode != Some(ExecInteractiveMode::Always) && !std::io::stdin().is_terminal() {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
}

/// Who has written a whole command line there has perhaps written a secret.
fn name(command: &str) -> String {
    let program = command.split(" -").next().unwrap_or_default();
    escape(program.trim()).into_owned()
}

const ROUNDS: usize = 8;

/// How all marks of this process begin.
fn own_marks() -> String {
    format!("{}.", std::process::id())
}

/// Kills every plugin that runs for this process, which is about to end. The kube crate runs one again where the first run
/// gave nothing, so that somebody is waited for who comes at once.
pub fn end_all() {
    if CLIENTS.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mark = format!("{MARK}={}", own_marks());
    let mut quiet = 0;
    for _ in 0..LOOKS {
        let found = processes::awaited(&mark);
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        found.into_iter().for_each(processes::kill);
        if quiet == QUIET {
            break;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The same again and again until the process ends by itself: whoever asks for credentials is given none any more.
pub fn keep_ending() {
    end_all();
    let again = || {
        while CLIENTS.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(AGAIN);
            end_all();
        }
    };
    // Where no thread can be had a plugin has its time, as ever.
    _ = std::thread::Builder::new().name("plugins".to_owned()).spawn(again);
}

const AGAIN: Duration = Duration::from_millis(200);

/// So often is looked at most, and so many looks in a row find nobody before nobody is believed to come.
const LOOKS: u32 = 100;
const QUIET: u32 = 3;
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(target_os = "linux")]
mod processes {
    use std::collections::{HashMap, HashSet};
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use rustix::process::{Pid, Signal, getpid, kill_process};

    fn has_variable(folder: &Path, is: impl Fn(&[u8]) -> bool) -> bool {
        let variables = std::fs::read(folder.join("environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(is)
    }

    /// Of those whose variable begins like that, whom this process waits for: its children, what they have started, and who
    /// else writes to a pipe that it reads. What a plugin has left to live on (a browser) is nobody's business here.
    pub fn awaited(mark: &str) -> Vec<Pid> {
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        let own = getpid();
        let folders = all.filter_map(Result::ok).map(|entry| entry.path());
        let there = folders.filter_map(|folder| Some((pid(folder.file_name()?.to_str()?)?, parent(&folder)?)));
        let parents: HashMap<Pid, Pid> = there.collect();
        let pipes = own_pipes();
        let is_awaited = |pid: Pid, parent: Pid| {
            let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
            // Between its birth and its program a child has no variables of its own.
            parent == own
                || has_variable(&folder, |variable| variable.starts_with(mark.as_bytes()))
                    && (descends(pid, own, &parents) || links(&folder, true).any(|link| pipes.contains(&link)))
        };
        parents.iter().filter(|(pid, parent)| is_awaited(**pid, **parent)).map(|(pid, _)| *pid).collect()
    }

    /// `None`: it is dead, and waits to be reaped.
    fn parent(folder: &Path) -> Option<Pid> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let mut fields = stat.rsplit(") ").next()?.split(' ');
        let is_dead = matches!(fields.next()?, "Z" | "X");
        fields.next().filter(|_| !is_dead).and_then(pid)
    }

    fn descends(mut pid: Pid, from: Pid, parents: &HashMap<Pid, Pid>) -> bool {
        let mut seen = HashSet::new();
        while seen.insert(pid) {
            match parents.get(&pid) {
                Some(parent) if *parent == from => return true,
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        false
    }

    /// Pipes that we alone read: those that whoever started us has handed on have other ends, or everybody has them.
    fn own_pipes() -> HashSet<PathBuf> {
        let own = Path::new("/proc/self");
        let written: HashSet<PathBuf> = links(own, true).collect();
        let is_pipe = |link: &PathBuf| link.to_str().is_some_and(|link| link.starts_with("pipe:"));
        links(own, false).filter(|link| is_pipe(link) && !written.contains(link)).collect()
    }

    /// What a process has open to write, or only to read.
    fn links(folder: &Path, to_write: bool) -> impl Iterator<Item = PathBuf> {
        let open = std::fs::read_dir(folder.join("fd")).into_iter().flatten().filter_map(Result::ok);
        let writes = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|about| about.mode() & 0o200 != 0);
        let open = open.map(|entry| entry.path()).filter(move |path| writes(path) == to_write);
        open.filter_map(|path| std::fs::read_link(path).ok())
    }

    fn pid(text: &str) -> Option<Pid> {
        text.parse().ok().and_then(Pid::from_raw)
    }

    /// Who has ended meanwhile, or is somebody else's, is let be.
    pub fn kill(pid: Pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(not(target_os = "linux"))]
mod processes {
    pub fn awaited(_: &str) -> Vec<u32> {
        Vec::new()
    }

    pub fn kill(_: u32) {}
}
