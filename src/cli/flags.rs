//! What only a person may say stands in no environment.

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

/// An environment is inherited, forgotten, and the same for every command of a shell: nobody consents by it, and nothing
/// that is released is named by it.
#[test]
fn consent_and_a_releases_target_are_typed_and_all_other_flags_have_a_variable() {
    let typed = ["yes", "skip_age", "node_is_off", "i_know_what_this_is", "handle", "address", "older_than"];
    for (command, arg) in arguments() {
        let (id, variable) = (arg.get_id().as_str(), arg.get_env().and_then(|v| v.to_str()));
        // A release is judged by the time it is, whatever a shell says for its audits.
        let target = ["code", "node", "namespace", "pool", "plan", "plan_out"];
        let is_releases =
            command == "release" && target.contains(&id) || ["release", "undo"].contains(&&*command) && id == "now";
        let wanted = format!("IPAUDIT_{}", id.to_uppercase());
        match typed.contains(&id) || is_releases || arg.is_positional() || id == "verbose" {
            true => assert_eq!(variable, None, "{command} {id}"),
            false => assert_eq!(variable, Some(wanted.as_str()), "{command} {id}"),
        }
    }
}
