//! A credential plugin: what it is called, what it says (`PluginWords`), and the end of one that does not end by itself.
//!
//! The kube crate runs plugins, and waits for each as long as it takes. Who is not waited for any more must not stay
//! behind, nor what it started: all of that is known by a variable that the plugin is given and hands on. Only on Linux,
//! where `/proc` tells the variables of a process.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};

use super::plugin_words::PluginWords;
use crate::model::escape::escape;

/// The variable; its value is another one for each client.
const MARK: &str = "RUN_BY_IPAUDIT";

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
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let value = format!("{}.{}", std::process::id(), CLIENTS.fetch_add(1, Ordering::Relaxed));
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

    /// Kills whatever of it runs, and what `thread` has started; whether there was anything.
    pub fn end(&self, thread: Option<&Thread>) -> bool {
        let mut ended = false;
        // Who was being started meanwhile is found by the next round.
        for _ in 0..ROUNDS {
            let found = processes::marked(&self.mark, thread.map(|thread| thread.0.as_path()));
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

/// A thread of ours, by its folder in `/proc`.
#[derive(Debug)]
pub struct Thread(PathBuf);

impl Thread {
    /// This one.
    pub fn here() -> Option<Thread> {
        std::fs::read_link("/proc/thread-self").ok().map(|link| Thread(PathBuf::from("/proc").join(link)))
    }
}

#[cfg(target_os = "linux")]
mod processes {
    use std::path::Path;

    use rustix::process::{Pid, Signal, kill_process};

    /// Those with this variable, and the children of this thread.
    pub fn marked(mark: &str, thread: Option<&Path>) -> Vec<Pid> {
        let children = thread.and_then(|thread| std::fs::read_to_string(thread.join("children")).ok());
        let mut found: Vec<Pid> = children.unwrap_or_default().split_whitespace().filter_map(pid).collect();
        let Ok(all) = std::fs::read_dir("/proc") else { return found };
        let is_marked = |folder: &Path| {
            let variables = std::fs::read(folder.join("environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let folders = all.filter_map(Result::ok).map(|entry| entry.path());
        found.extend(folders.filter_map(|folder| {
            let pid = pid(folder.file_name()?.to_str()?)?;
            is_marked(&folder).then_some(pid)
        }));
        found
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
    use std::path::Path;

    pub fn marked(_: &str, _: Option<&Path>) -> Vec<u32> {
        Vec::new()
    }

    pub fn kill(_: u32) {}
}
