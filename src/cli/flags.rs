//! Every flag is heard, and what only a person may say stands in no environment.

use std::path::Path;

use clap::CommandFactory;

use super::Cli;

/// Of every command: its name, and each of its arguments.
fn arguments() -> Vec<(String, clap::Arg)> {
    fn of(command: &clap::Command, found: &mut Vec<(String, clap::Arg)>) {
        let name = command.get_name().to_owned();
        found.extend(command.get_arguments().map(|arg| (name.clone(), arg.clone())));
        command.get_subcommands().for_each(|command| of(command, found));
    }
    let mut found = Vec::new();
    of(&Cli::command(), &mut found);
    found.retain(|(_, arg)| !matches!(arg.get_id().as_str(), "help" | "version"));
    assert!(found.len() > 100, "{}", found.len());
    found
}

fn sources() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli"), &mut found);
    found
}

/// A flag that nobody reads is a promise that is not kept.
#[test]
fn every_flag_is_read_somewhere() {
    let sources = sources();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let read = |field: &str| {
        let place = format!(".{field}");
        let ends = |text: &str, at: usize| !text[at + place.len()..].starts_with(is_word);
        sources.iter().any(|text| text.match_indices(&place).any(|(at, _)| ends(text, at)))
    };
    let idle: Vec<String> = arguments()
        .iter()
        .filter(|(_, arg)| !read(arg.get_id().as_str()))
        .map(|(command, arg)| format!("{command} --{}", arg.get_id()))
        .collect();
    assert!(idle.is_empty(), "read by nobody: {idle:?}");
}

/// An environment is inherited, forgotten, and the same for every command of a shell: nobody consents by it, and nothing
/// that is released is named by it.
#[test]
fn consent_and_a_releases_target_are_typed_and_all_other_flags_have_a_variable() {
    let typed = ["yes", "skip_age", "node_is_off", "i_know_what_this_is", "handle", "address", "older_than"];
    for (command, arg) in arguments() {
        let (id, variable) = (arg.get_id().as_str(), arg.get_env().and_then(|v| v.to_str()));
        let is_target = command == "release" && id == "code";
        match typed.contains(&id) || is_target || arg.is_positional() || id == "verbose" {
            true => assert_eq!(variable, None, "{command} {id}"),
            false => assert!(variable.is_some_and(|v| v.starts_with("IPAUDIT_")), "{command} {id}: {variable:?}"),
        }
    }
}
