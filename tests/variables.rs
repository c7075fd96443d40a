//! Variables, through the binary and over the tree of its commands: an empty one is none, one that is meant for another
//! command breaks none, and what README says of them is so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use clap::{Arg, ArgAction};
use servers::command::{ipaudit, stderr};

/// One command line a command, in ways that say the same at any time: from a capture, or not far enough to ask anybody.
const LINES: &[&[&str]] = &[
    &["audit", "--from", CAPTURE, "-o", "json", "-v"],
    &["audit", "-v"],
    &["audit"],
    &["blocks", "--from", CAPTURE, "-v"],
    &["blocks"],
    &["capture", "-v", "--file", "/nonexistent/capture"],
    &["node", "--from-ip", NODE, "--node", "worker-1", "--now", "2026-11-29T12:10:37Z", "-v"],
    &["node", "--node-evidence", "/nonexistent/capture", "-v"],
    &["release", "--handle", "x"],
    &["undo", "1"],
    &["explain", "IPA101"],
    &["version", "-v"],
    &["check-access", "-v"],
    &["history", "prune"],
    &["history", "check"],
    &["history", "export"],
    &["report", "--now", "2026-11-24T13:00:00Z"],
    &["report", "--since", "1h", "--until", "2h"],
    &["who", "192.168.91.33", "--from", CAPTURE, "-v"],
    &["who", "192.168.91.33"],
    &["who", "192.168.91.33", "--offline", "--now", "2026-11-24T13:00:00Z"],
];

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");

const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden-node/clean");

/// What is heeded beside the flags' own.
const OTHERS: &[&str] = &[
    "ETCD_ENDPOINTS",
    "ETCD_DISCOVERY_SRV",
    "ETCD_CA_CERT_FILE",
    "ETCD_CERT_FILE",
    "ETCD_KEY_FILE",
    "ETCD_USERNAME",
    "ETCD_PASSWORD",
    "DATASTORE_TYPE",
    "IPAUDIT_ETCD_PASSWORD",
    "IPAUDIT_DNS_SERVER",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "NODENAME",
    "NO_COLOR",
    "COLUMNS",
    "RUST_LOG",
];

/// The arguments of a command line's command, those of every command among them.
fn arguments(line: &[&str]) -> Vec<Arg> {
    let mut command = ipaudit::cli::commands();
    let mut all: Vec<Arg> = command.get_arguments().cloned().collect();
    for word in line {
        let Some(next) = command.find_subcommand(word).cloned() else { break };
        all.extend(next.get_arguments().cloned());
        command = next;
    }
    all.retain(|arg| !matches!(arg.get_id().as_str(), "help" | "version"));
    all
}

/// Every argument of every command, with the command's name.
fn tree() -> Vec<(String, Arg)> {
    fn of(command: &clap::Command, found: &mut Vec<(String, Arg)>) {
        found.extend(command.get_arguments().map(|arg| (command.get_name().to_owned(), arg.clone())));
        command.get_subcommands().for_each(|command| of(command, found));
    }
    let mut found = Vec::new();
    of(&ipaudit::cli::commands(), &mut found);
    found.retain(|(_, arg)| !matches!(arg.get_id().as_str(), "help" | "version"));
    found
}

fn variable(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_str().unwrap().to_owned())
}

fn is_typed(line: &[&str], arg: &Arg) -> bool {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    line.iter().any(|word| Some(*word) == long.as_deref() || Some(*word) == short.as_deref())
}

/// A folder for the state, with the history of one audit.
fn state() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("ipaudit/history.db");
    let made = ipaudit().env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--from", CAPTURE, "--db"]).arg(db).output();
    assert_eq!(made.as_ref().unwrap().status.code(), Some(1), "{made:?}");
    folder
}

fn command(state: &Path, line: &[&str]) -> Command {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").env("XDG_STATE_HOME", state).args(line);
    command
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), stderr(output))
}

/// Whether something is typed that this flag cannot stand beside.
fn is_contradicted(line: &[&str], arg: &Arg) -> bool {
    let commands = ipaudit::cli::commands();
    let Some(command) = line.first().and_then(|word| commands.find_subcommand(word)) else { return false };
    let is_its = command.get_arguments().any(|own| own.get_id() == arg.get_id());
    is_its && command.get_arg_conflicts_with(arg).into_iter().any(|other| is_typed(line, other))
}

#[test]
fn a_variable_that_is_set_and_empty_counts_as_unset() {
    let state = state();
    let mut tried = BTreeSet::new();
    for line in LINES {
        let unset = told(&command(state.path(), line).output().unwrap());
        let args: Vec<Arg> = arguments(line).into_iter().filter(|arg| !is_typed(line, arg)).collect();
        let variables: Vec<String> = args.iter().filter_map(variable).collect();
        for variable in &variables {
            let empty = told(&command(state.path(), line).env(variable, "").output().unwrap());
            assert_eq!(empty, unset, "{variable}= {line:?}");
        }
        let all = variables.iter().map(String::as_str).chain(OTHERS.iter().copied()).map(|name| (name, ""));
        let empty = told(&command(state.path(), line).envs(all).output().unwrap());
        assert_eq!(empty, unset, "all of them empty: {line:?}");
        tried.extend(variables);
    }
    // A command that is new needs a line here.
    let all: BTreeSet<String> = tree().iter().filter_map(|(_, arg)| variable(arg)).collect();
    assert!(all.len() > 40, "{all:?}");
    assert_eq!(all.difference(&tried).collect::<Vec<_>>(), ["IPAUDIT_FILE"], "it must be said");
    let required = told(&command(state.path(), &["capture"]).env("IPAUDIT_FILE", "").output().unwrap());
    assert_eq!(required, told(&command(state.path(), &["capture"]).output().unwrap()));
}

/// Whether a flag's parser takes a value.
fn takes(flag: &Arg, value: &str) -> bool {
    let alone = Arg::new("it").long("it").action(ArgAction::Set).value_parser(flag.get_value_parser().clone());
    let command = clap::Command::new("it").no_binary_name(true).arg(alone);
    command.try_get_matches_from([format!("--it={value}")]).is_ok()
}

#[test]
fn what_another_command_takes_breaks_none_and_what_none_takes_is_an_error() {
    let state = state();
    let mut words: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, arg) in tree().iter().filter(|(_, arg)| !matches!(arg.get_action(), ArgAction::SetTrue)) {
        let Some(variable) = variable(arg) else { continue };
        let possible = arg.get_possible_values().into_iter().map(|value| value.get_name().to_owned());
        words.entry(variable).or_default().extend(possible);
    }
    let mut strange = BTreeSet::new();
    for line in LINES {
        for arg in arguments(line).iter().filter(|arg| !is_typed(line, arg)) {
            let Some(variable) = variable(arg) else { continue };
            for word in words.get(&variable).into_iter().flatten() {
                let output = command(state.path(), &[&["-v"], *line].concat()).env(&variable, word).output().unwrap();
                assert!(!stderr(&output).contains("invalid value"), "{variable}={word} {line:?}: {}", stderr(&output));
                let passed_over = stderr(&output).contains(&format!("{variable} is passed over"));
                let is_useless = !takes(arg, word) || is_contradicted(line, arg);
                assert_eq!(passed_over, is_useless, "{variable}={word} {line:?}: {}", stderr(&output));
                if passed_over {
                    strange.insert((line[0], format!("{variable}={word}")));
                }
            }
            if words.get(&variable).is_some_and(|words| !words.is_empty()) {
                let mistyped = command(state.path(), line).env(&variable, "jsno").output().unwrap();
                assert_eq!(mistyped.status.code(), Some(2), "{variable} {line:?}");
                let named = format!("invalid value 'jsno' for '{variable} (for --");
                assert!(stderr(&mistyped).contains(&named), "{}", stderr(&mistyped));
            }
        }
    }
    let said = |command, word: &str| strange.contains(&(command, word.to_owned()));
    assert!(said("who", "IPAUDIT_OUTPUT=jsonl") && said("release", "IPAUDIT_OUTPUT=markdown"), "{strange:?}");
    // Without -v nothing is said, and a flag is typed for this very command.
    let line = ["who", "192.168.91.33", "--from", CAPTURE];
    let quiet = command(state.path(), &line).env("IPAUDIT_OUTPUT", "jsonl").output().unwrap();
    assert_eq!(told(&quiet), told(&command(state.path(), &line).output().unwrap()));
    let flag = command(state.path(), &[&line[..], &["--output", "jsonl"]].concat()).output().unwrap();
    assert_eq!(flag.status.code(), Some(2), "{flag:?}");
}

/// A value that a flag takes.
fn sample(flag: &Arg) -> &'static str {
    let takes = |value: &&str| takes(flag, value);
    ["x", "true", "24h", "1", "IPA110", "2026-11-24T13:00:00Z"]
        .into_iter()
        .find(takes)
        .unwrap_or_else(|| panic!("no value for {flag:?}"))
}

#[test]
fn a_typed_flag_wins_over_a_variable_that_contradicts_it() {
    let state = state();
    let mut pairs = 0;
    for line in [&["audit"][..], &["who", "x"], &["release"], &["report"], &["capture", "--file", "/nonexistent/x"]] {
        let tree = ipaudit::cli::commands();
        let command_of = tree.find_subcommand(line[0]).unwrap();
        let args: Vec<&Arg> = command_of.get_arguments().collect();
        for (one, other) in
            args.iter().flat_map(|arg| command_of.get_arg_conflicts_with(arg).into_iter().map(move |o| (arg, o)))
        {
            for (typed, set) in [(*one, other), (other, *one)] {
                let Some(variable) = variable(set) else { continue };
                let mut flag = format!("--{}", typed.get_long().unwrap());
                if !matches!(typed.get_action(), ArgAction::SetTrue) {
                    flag = format!("{flag}={}", sample(typed));
                }
                let output =
                    command(state.path(), &[&["-v"], line, &[&flag]].concat()).env(&variable, sample(set)).output();
                let says = stderr(&output.unwrap());
                assert!(!says.contains("cannot be used with"), "{line:?} {flag} {variable}: {says}");
                let name = flag.split('=').next().unwrap();
                assert!(
                    says.contains(&format!("{variable} is passed over: {name} is typed")),
                    "{line:?} {flag}: {says}"
                );
                pairs += 1;
            }
        }
    }
    assert!(pairs > 15, "{pairs}");
    let both = command(state.path(), &["who", "x", "--offline", "--from", "y"]).output().unwrap();
    assert!(stderr(&both).contains("cannot be used with"), "two flags: {}", stderr(&both));
}

/// A value that no command takes was mistyped, whatever else is typed; of the very flag it does not count.
#[test]
fn a_malformed_variable_is_told_beside_a_flag_that_contradicts_it() {
    let state = state();
    let line = ["audit", "--from", CAPTURE, "--now", "2026-11-24T13:00:00Z"];
    let output = command(state.path(), &line).env("IPAUDIT_WATCH", "nonsense").output().unwrap();
    let says = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{says}");
    assert!(says.contains("invalid value 'nonsense' for 'IPAUDIT_WATCH (for --watch"), "{says}");
    let line = ["audit", "--watch", "60s", "-o", "sarif"];
    let says = stderr(&command(state.path(), &line).env("IPAUDIT_WATCH", "nonsense").output().unwrap());
    assert!(says.contains("of one audit") && !says.contains("nonsense"), "{says}");
}

/// Help names a variable also where it is set and empty, or set to what another command takes; its value is nobody's
/// business.
#[test]
fn help_names_every_variable() {
    let state = state();
    for value in ["", "jsonl"] {
        let help = command(state.path(), &["who", "--help"]).env("IPAUDIT_OUTPUT", value).output().unwrap();
        assert!(String::from_utf8_lossy(&help.stdout).contains("[env: IPAUDIT_OUTPUT]"), "{help:?}");
    }
}

#[test]
fn a_switch_is_set_as_people_write_it() {
    let state = state();
    let line = ["audit", "--from", CAPTURE];
    let plain = told(&command(state.path(), &line).output().unwrap()).1;
    let all = told(&command(state.path(), &[&line[..], &["--all"]].concat()).output().unwrap()).1;
    assert_ne!(plain, all);
    for (value, wanted) in
        [("true", &all), ("1", &all), ("yes", &all), ("false", &plain), ("0", &plain), ("no", &plain)]
    {
        let said = told(&command(state.path(), &line).env("IPAUDIT_ALL", value).output().unwrap()).1;
        assert_eq!(&said, wanted, "IPAUDIT_ALL={value}");
    }
}

/// A release is judged by the time it is, whatever a shell says for its audits.
#[test]
fn no_variable_gives_a_release_another_time_or_a_yes() {
    let state = state();
    let variables = ["NOW", "YES", "SKIP_AGE", "NODE_IS_OFF", "I_KNOW_WHAT_THIS_IS", "HANDLE", "ADDRESS", "OLDER_THAN"];
    let set = variables.map(|name| (format!("IPAUDIT_{name}"), "2026-11-24T13:00:00Z"));
    for line in [&["release", "--handle", "x"][..], &["undo", "1"], &["release"]] {
        let plain = told(&command(state.path(), line).output().unwrap());
        assert_eq!(told(&command(state.path(), line).envs(set.clone()).output().unwrap()), plain, "{line:?}");
    }
    let typed = command(state.path(), &["undo", "1", "--now", "2026-11-24T13:00:00Z"]).output().unwrap();
    assert!(stderr(&typed).contains("another time than now"), "{}", stderr(&typed));
}

// ---- README ----

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_flag_has_the_variable_that_readme_says() {
    let readme = readme();
    let paragraph = readme.split("\n\n").find(|p| p.starts_with("Every flag also has its own variable")).unwrap();
    let named: BTreeSet<&str> = quoted(paragraph).into_iter().filter_map(|word| word.strip_prefix("--")).collect();
    let mut without = BTreeSet::new();
    for (command, arg) in tree().iter().filter(|(_, arg)| !arg.is_positional()) {
        let long = arg.get_long().unwrap();
        match variable(arg) {
            Some(variable) => {
                assert_eq!(variable, format!("IPAUDIT_{}", long.replace('-', "_").to_uppercase()), "{command}");
            }
            None if arg.is_hide_set() => {}
            None => drop(without.insert(long.to_owned())),
        }
    }
    assert_eq!(named, without.iter().map(String::as_str).collect(), "left: README, right: the commands");
}

#[test]
fn the_table_of_connections_is_true() {
    let readme = readme();
    let (_, table) = readme.split_once("| flag | environment | what |\n").unwrap();
    let audit = arguments(&["audit"]);
    let (mut rows, mut theirs) = (0, BTreeSet::new());
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (flags, variables) = (quoted(cells[1]), quoted(cells[2]));
        let flag = |name: &str| audit.iter().find(|arg| arg.get_long() == name.strip_prefix("--"));
        let own: Vec<String> =
            flags.iter().map(|name| variable(flag(name).unwrap_or_else(|| panic!("{row}"))).unwrap()).collect();
        for default in cells[3].split("default ").skip(1) {
            let default = default.split([',', ':', ' ', '`']).find(|word| !word.is_empty()).unwrap();
            let shown = flags.iter().filter_map(|name| flag(name)).any(|arg| {
                arg.get_default_values().iter().any(|value| value.to_str() == Some(default))
                    || arg.get_long_help().is_some_and(|help| help.to_string().contains(default))
            });
            assert!(shown, "{default} is no default of {flags:?}");
        }
        let others: Vec<&str> = variables.iter().copied().filter(|name| !own.iter().any(|own| own == name)).collect();
        let mut command = ipaudit();
        command.args(["audit", "-v", "--etcd-timeout", "1s"]);
        if !others.iter().any(|name| name.starts_with("ETCD_ENDPOINTS")) {
            command.env("ETCD_ENDPOINTS", "http://127.0.0.1:1");
        }
        let output = command.envs(others.iter().map(|name| (name, "http://127.0.0.1:1"))).output().unwrap();
        for name in &others {
            assert!(stderr(&output).contains(name), "{name} is heeded by nobody: {}", stderr(&output));
        }
        theirs.extend(others.into_iter().map(str::to_owned));
        rows += 1;
    }
    let heeded: BTreeSet<String> = OTHERS
        .iter()
        .filter(|name| name.starts_with("ETCD_") || **name == "KUBECONFIG")
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(theirs, heeded);
    assert!(rows > 8, "{rows}");
}
