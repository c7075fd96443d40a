//! What the environment says in the place of flags, decided in one place before the command line is parsed.
//!
//! A variable stands for its flag in every command that has it, and is inherited by whole shells and pods. So it counts
//! less than what is typed, and one that is meant for another command breaks none:
//!
//! 1. set and empty is unset;
//! 2. beside a flag that is typed and that its own flag contradicts (`--from`, IPAUDIT_ETCD_ENDPOINTS) it is passed over;
//! 3. so is a value that this command does not take and another command with that variable does (`who`,
//!    IPAUDIT_OUTPUT=jsonl).
//!
//! A value that no command takes was mistyped, and is an error like a flag's, also beside a flag that contradicts it; of a
//! flag that is typed itself the variable does not count, whatever it says. Which variables there are, and what they take,
//! is asked of the flags themselves: nothing is listed here.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};

use clap::builder::{BoolishValueParser, OsStr as Named, Resettable};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use crate::environment;

/// The commands as they are to be parsed, and which variables were passed over, for `-v`.
pub struct Heeded {
    pub command: Command,
    /// The commands that are typed, as `ipaudit history prune`.
    pub path: String,
    pub passed_over: Vec<String>,
    mistyped: Vec<Mistyped>,
}

/// A variable whose value no command takes, and its flag without its value.
struct Mistyped {
    flag: String,
    variable: String,
}

impl Heeded {
    /// The error with the name of the variable that it is about: nobody typed its flag.
    pub fn named(&self, mut error: clap::Error) -> clap::Error {
        let named = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(flag)) => {
                let long = flag.split([' ', '=', '[']).next();
                let mistyped = self.mistyped.iter().find(|m| Some(m.flag.as_str()) == long);
                mistyped.map(|m| format!("{} (for {flag})", m.variable))
            }
            _ => None,
        };
        if let Some(named) = named {
            error.insert(ContextKind::InvalidArg, ContextValue::String(named));
        }
        error
    }
}

/// Leaves to each command the variables that count for it; `line` is the command line with the program's name.
pub fn heed(commands: Command, line: &[OsString]) -> Heeded {
    let commands = switches(commands);
    let typed = bare(commands.clone()).ignore_errors(true).try_get_matches_from(line);
    // Help, which names the variables as they are.
    let path = commands.get_name().to_owned();
    let mut heeded = Heeded { command: Command::default(), path, passed_over: Vec::new(), mistyped: Vec::new() };
    let Ok(typed) = typed else { return Heeded { command: commands, ..heeded } };
    let mut at = typed.subcommand();
    while let Some((name, below)) = at {
        heeded.path.push(' ');
        heeded.path.push_str(name);
        at = below.subcommand();
    }
    let mut flags = Flags::default();
    flags.collect(&commands);
    heeded.command = flags.leave(commands, &typed, &mut heeded);
    heeded
}

/// A switch is set by a variable as people write it: true, yes, on, 1, and their contraries.
fn switches(command: Command) -> Command {
    let is_switch = |arg: &Arg| arg.get_env().is_some() && matches!(arg.get_action(), ArgAction::SetTrue);
    let command = command.mut_args(|arg| match is_switch(&arg) {
        true => arg.value_parser(BoolishValueParser::new()),
        false => arg,
    });
    command.mut_subcommands(switches)
}

/// The commands without any variable.
fn bare(command: Command) -> Command {
    command.mut_args(unset).mut_subcommands(bare)
}

fn unset(arg: Arg) -> Arg {
    arg.env(Resettable::<Named>::Reset)
}

fn value_of(arg: &Arg) -> Option<(&str, OsString)> {
    let name = arg.get_env()?.to_str()?;
    Some((name, environment::value(name)?))
}

/// The flags of all commands by their variable.
#[derive(Default)]
struct Flags {
    by_variable: HashMap<OsString, Vec<Arg>>,
}

impl Flags {
    fn collect(&mut self, command: &Command) {
        for arg in command.get_arguments() {
            if let Some(variable) = arg.get_env() {
                self.by_variable.entry(variable.to_owned()).or_default().push(arg.clone());
            }
        }
        command.get_subcommands().for_each(|command| self.collect(command));
    }

    /// Unsets what does not count, down to the command that is typed.
    fn leave(&self, command: Command, typed: &ArgMatches, heeded: &mut Heeded) -> Command {
        let rivals = rivals(&command, typed);
        let name = command.get_name().to_owned();
        let command = command.mut_args(|arg| {
            if arg.get_env().is_none() {
                return arg;
            }
            let Some((variable, value)) = value_of(&arg) else { return unset(arg) };
            if typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
                return arg;
            }
            let is_taken = takes(&arg, &value);
            if !is_taken && !self.is_for_another(variable, &value) {
                // An argument that is not built yet cannot show itself.
                let flag = format!("--{}", arg.get_long().unwrap_or_default());
                heeded.mistyped.push(Mistyped { flag, variable: variable.to_owned() });
                return arg;
            }
            if let Some(rival) = rivals.get(arg.get_id()) {
                heeded.passed_over.push(format!("{variable} is passed over: {rival} is typed"));
                return unset(arg);
            }
            if !is_taken {
                heeded.passed_over.push(format!("{variable} is passed over: {name} does not take its value"));
                return unset(arg);
            }
            arg
        });
        match typed.subcommand() {
            Some((name, typed)) => command.mut_subcommand(name, |command| self.leave(command, typed, heeded)),
            None => command,
        }
    }

    fn is_for_another(&self, variable: &str, value: &OsStr) -> bool {
        self.by_variable.get(OsStr::new(variable)).is_some_and(|flags| flags.iter().any(|flag| takes(flag, value)))
    }
}

/// The flags that contradict one that is typed, and that one.
fn rivals(command: &Command, typed: &ArgMatches) -> HashMap<Id, String> {
    let is_typed = |arg: &&Arg| typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    // A conflict stands at one of the two.
    let against = |arg: &Arg| -> HashSet<Id> {
        match arg.is_global_set() {
            true => HashSet::new(),
            false => command.get_arg_conflicts_with(arg).into_iter().map(|other| other.get_id().clone()).collect(),
        }
    };
    let mut rivals = HashMap::new();
    for typed in command.get_arguments().filter(is_typed) {
        let its = against(typed);
        for arg in command.get_arguments() {
            if its.contains(arg.get_id()) || against(arg).contains(typed.get_id()) {
                rivals.insert(arg.get_id().clone(), format!("--{}", typed.get_long().unwrap_or_default()));
            }
        }
    }
    rivals
}

/// Whether a flag takes this value, by the parser that would read it.
fn takes(flag: &Arg, value: &OsStr) -> bool {
    let mut alone = Arg::new("it").long("it").action(ArgAction::Append).value_parser(flag.get_value_parser().clone());
    if let Some(delimiter) = flag.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let mut word = OsString::from("--it=");
    word.push(value);
    let command = Command::new("it").no_binary_name(true).disable_help_flag(true).arg(alone);
    command.try_get_matches_from([word]).is_ok()
}
