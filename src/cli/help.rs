//! How help is arranged: `-h` shows what is used every day, a clause a flag; `--help` everything, and examples that can be
//! pasted.
//!
//! What a flag means stands at the flag, and its heading too. Here is only what holds for all of them.

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command};

/// Flags that `-h` leaves to `--help`.
const RARE: [&str; 31] = [
    "at",
    "capacity",
    "cluster",
    "color",
    "config",
    "context",
    "db_journal",
    "db_wait",
    "deep",
    "etcd_concurrency",
    "etcd_discovery_srv",
    "etcd_password_file",
    "etcd_timeout",
    "etcd_username",
    "full",
    "gentle",
    "i_know_what_this_is",
    "keep",
    "kube_timeout",
    "log_format",
    "no_headers",
    "node_is_off",
    "now",
    "pool",
    "rate",
    "settings",
    "severity",
    "severity_of",
    "skip_age",
    "sort_by",
    "until",
];

/// The same of one command.
const RARE_OF: [(&str, &str); 8] = [
    // What is read from files is never released.
    ("ipaudit release", "kube_objects"),
    ("ipaudit release", "scope"),
    ("ipaudit who", "scope"),
    ("ipaudit node", "prefix"),
    ("ipaudit node", "routes"),
    ("ipaudit audit", "node_evidence"),
    ("ipaudit release", "node_evidence"),
    ("ipaudit who", "node_evidence"),
];

/// The commands as they are shown.
pub fn arranged(command: Command) -> Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let version = version.help("Print the version; `ipaudit version` tells more").help_heading("Output");
    arrange(command.disable_version_flag(true).arg(version), "ipaudit")
}

fn arrange(command: Command, path: &str) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help_heading("Output");
    let help = help.help("Print help").long_help("Print help; -h in short");
    let mut command = command.mut_args(|flag| arrange_flag(flag, path)).disable_help_flag(true).arg(help);
    if let Some(examples) = examples(path) {
        command = command.after_help(format!("{path} --help has every flag, its variable, and examples."));
        command = command.after_long_help(format!("Examples:\n{examples}"));
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(name, |sub| arrange(sub, &path));
    }
    command
}

/// In short its first clause, at length with its variable, whose value is nobody's business.
fn arrange_flag(flag: Arg, path: &str) -> Arg {
    let text = |styled: &StyledStr| styled.to_string();
    let short = flag.get_help().map(text).unwrap_or_default();
    let mut long = flag.get_long_help().map_or_else(|| short.clone(), text);
    if let Some(variable) = flag.get_env() {
        long.push_str(&format!("\n[env: {}]", variable.to_string_lossy()));
    }
    let id = flag.get_id().as_str();
    let is_rare = RARE.contains(&id) || RARE_OF.contains(&(path, id));
    flag.help(clause(&short).to_owned()).long_help(long).hide_env(true).hide_short_help(is_rare)
}

/// Up to where an explanation begins.
fn clause(text: &str) -> &str {
    // A parenthesis is told whole.
    let find = |end: &str| {
        text.match_indices(end).map(|(at, _)| at).find(|at| is_balanced(text.get(..*at).unwrap_or_default()))
    };
    let ends = [". ", "; ", " ["].into_iter().filter_map(find);
    // "Colours: auto is on a terminal only" says nothing in its first word.
    let colon = find(": ").filter(|at| text.get(..*at).is_some_and(|before| before.contains(' ')));
    let end = ends.chain(colon).min().unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// Whether each parenthesis that opens is closed.
fn is_balanced(text: &str) -> bool {
    text.matches('(').count() == text.matches(')').count()
}

/// Of each command lines that can be pasted, below its name.
const EXAMPLES: &str = include_str!("examples.txt");

fn examples(command: &str) -> Option<&'static str> {
    let mut sections = EXAMPLES.split("## ").filter_map(|section| section.split_once('\n'));
    sections.find(|(name, _)| *name == command).map(|(_, lines)| lines.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::commands;
    use super::*;

    /// The words of a line as a shell makes them: quotes, and nothing behind a redirection.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for c in line.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                '>' if !quoted && word.is_none() => break,
                ' ' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// Of a command and all below it, with its path.
    fn all(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        found.push((path.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            all(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    fn every() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        all(&commands(), "ipaudit", &mut found);
        found
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_parses() {
        let every = every();
        assert_eq!(every.len(), EXAMPLES.matches("## ").count(), "each section is of a command");
        for (path, mut command) in every {
            let help = command.render_long_help().to_string();
            let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{path} has no examples"));
            let lines = examples.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let lines: Vec<&str> = lines.collect();
            assert!(lines.len() > 1, "{path}");
            for line in lines {
                let words = words(line);
                assert!(
                    path == "ipaudit" || (words.join(" ") + " ").starts_with(&format!("{path} ")),
                    "{path}: {line}"
                );
                if let Err(error) = commands().try_get_matches_from(&words) {
                    panic!("{line}: {error}");
                }
            }
        }
        assert!(EXAMPLES.lines().all(|line| line.chars().count() <= 80), "a terminal would break it");
    }

    /// A flag without a heading stands among those that nobody has thought of.
    #[test]
    fn every_flag_stands_under_a_heading() {
        let known = [
            "Connection",
            "Kubernetes",
            "What counts",
            "What to release",
            "What to report",
            "The node",
            "Safety",
            "History",
            "Output",
        ];
        for (path, command) in every() {
            for flag in command.get_arguments().filter(|flag| !flag.is_positional()) {
                let heading = flag.get_help_heading();
                assert!(
                    heading.is_some_and(|heading| known.contains(&heading)),
                    "{path} --{}: {heading:?}",
                    flag.get_id()
                );
            }
        }
        for (of, rare) in RARE_OF {
            let is_known = |(path, c): &(String, Command)| path == of && c.get_arguments().any(|a| a.get_id() == rare);
            assert!(every().iter().any(is_known), "{of} has no flag called {rare}");
        }
        for rare in RARE {
            assert!(
                every().iter().any(|(_, c)| c.get_arguments().any(|a| a.get_id() == rare)),
                "no flag is called {rare}"
            );
        }
    }

    /// `With --code` alone says nothing.
    #[test]
    fn each_clause_says_something() {
        for (path, command) in every() {
            for flag in command.get_arguments() {
                let says = flag.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!says.starts_with("With --") && says.contains(' '), "{path} {}: {says}", flag.get_id());
            }
        }
    }

    #[test]
    fn no_parenthesis_is_cut() {
        for (path, command) in every() {
            for flag in command.get_arguments() {
                let says = flag.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(is_balanced(&says), "{path} {}: {says}", flag.get_id());
            }
        }
    }

    #[test]
    fn a_clause_ends_where_the_explanation_begins() {
        for (text, short) in [
            ("How to print", "How to print"),
            ("Only these codes; comma separated", "Only these codes"),
            ("How long it must be so: looked at again. 0: not", "How long it must be so"),
            ("Colours: auto is a terminal. NO_COLOR", "Colours: auto is a terminal"),
            ("The history's file [default: x]", "The history's file"),
            (
                "Audit this capture (-: standard input; a file) alone; not etcd",
                "Audit this capture (-: standard input; a file) alone",
            ),
        ] {
            assert_eq!(clause(text), short);
        }
    }
}
