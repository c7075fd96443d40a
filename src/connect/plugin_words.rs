//! What a credential plugin says to people on standard error: why it failed is there and nowhere else.
//!
//! It is a stranger's text, and may repeat what it was given: secrets of its arguments and variables, and tokens, are taken
//! out, what would move the cursor is spelled out, and of much the end is kept, where programs say why they stop.

use kube::config::ExecConfig;

use super::settings::Secret;
use crate::model::escape::escape;

/// So many characters are told.
const MOST: usize = 200;
/// Shorter ones are words that stand anywhere.
const SHORTEST_SECRET: usize = 4;
/// How every JSON Web Token begins (`{"`), and the length that no word has.
const TOKEN: (&str, usize) = ("eyJ", 20);
/// What variables and flags are called that hold secrets.
const SECRETS: [&str; 5] = ["secret", "token", "pass", "key", "credential"];
const TAKEN_OUT: &str = "***";

/// Reads the words of one plugin.
#[derive(Clone, Debug, Default)]
pub struct PluginWords {
    /// What it was given and nobody is to see.
    secrets: Vec<Secret>,
}

impl PluginWords {
    /// Those of the program of a kubeconfig.
    pub fn of(exec: &ExecConfig) -> PluginWords {
        let mut secrets: Vec<&str> = Vec::new();
        for variable in exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value"))
                && is_of_secrets(name)
            {
                secrets.push(value);
            }
        }
        let mut arguments = exec.args.iter().flatten().peekable();
        while let Some(flag) = arguments.next() {
            match flag.split_once('=') {
                _ if !flag.starts_with('-') => {}
                Some((name, value)) if is_of_secrets(name) => secrets.push(value),
                None if is_of_secrets(flag) => secrets.extend(arguments.peek().map(|value| value.as_str())),
                _ => {}
            }
        }
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        PluginWords { secrets: secrets.into_iter().map(Secret::new).collect() }
    }

    /// The end of what it wrote, in one line; `None`: nothing.
    pub fn said(&self, written: &[u8]) -> Option<String> {
        self.of_people(&String::from_utf8_lossy(written))
    }

    /// The same of a text.
    pub fn of_people(&self, text: &str) -> Option<String> {
        let mut text = without_colours(text);
        for secret in &self.secrets {
            text = text.replace(secret.expose(), TAKEN_OUT);
        }
        let text = without_tokens(&text);
        let mut told = String::new();
        for line in text.lines().rev().map(|line| escape(line.trim())).filter(|line| !line.is_empty()) {
            let whole = if told.is_empty() { line.into_owned() } else { format!("{line}; {told}") };
            match whole.chars().count() <= MOST {
                true => told = whole,
                false if told.is_empty() => {
                    return Some(whole.chars().take(MOST - 1).chain(['…']).collect());
                }
                false => break,
            }
        }
        Some(told).filter(|told| !told.is_empty())
    }
}

fn is_of_secrets(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|word| name.contains(word))
}

fn without_tokens(text: &str) -> String {
    let (begins, shortest) = TOKEN;
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((before, from)) = rest.find(begins).map(|at| rest.split_at(at)) {
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_.=+/".contains(c);
        let (token, after) = from.split_at(from.find(|c| !is_of_token(c)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(if token.len() >= shortest { TAKEN_OUT } else { token });
        rest = after;
    }
    out + rest
}

/// Without `ESC [ … letter`, which says nothing in a log.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |c: char| ('@'..='~').contains(&c);
        out.extend(part.split_once(is_end).map(|(_, after)| after));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn words(env: &[(&str, &str)], args: &[&str]) -> PluginWords {
        let variable = |(name, value): &(&str, &str)| {
            HashMap::from([("name".to_owned(), (*name).to_owned()), ("value".to_owned(), (*value).to_owned())])
        };
        let exec = serde_json::from_str("{}");
        let exec = ExecConfig {
            env: Some(env.iter().map(variable).collect()),
            args: Some(args.iter().map(ToString::to_string).collect()),
            ..exec.unwrap()
        };
        PluginWords::of(&exec)
    }

    #[test]
    fn the_end_of_what_it_wrote_is_told_in_one_line_and_within_bounds() {
        let said = |text: &str| PluginWords::default().said(text.as_bytes());
        assert_eq!(said("\n \r\n"), None);
        assert_eq!(said("token has expired\r\n\n  run: corp login\n").unwrap(), "token has expired; run: corp login");
        assert_eq!(said("\u{1b}[31mexpired\u{1b}[0m\u{7}").unwrap(), "expired\\x07");
        let trace = format!("{}why it stopped", "at some place\n".repeat(100));
        let told = said(&trace).unwrap();
        assert!(told.ends_with("; why it stopped") && told.len() <= MOST, "{told}");
        let long = said(&"wörter ".repeat(100)).unwrap();
        assert!(long.ends_with('…') && long.chars().count() == MOST, "{long}");
        assert_eq!(PluginWords::default().said(b"expired \xff").unwrap(), "expired \u{fffd}");
    }

    #[test]
    fn what_it_was_given_in_secret_is_taken_out() {
        let words = words(
            &[("CLIENT_SECRET", "hunter2"), ("PROFILE", "prod"), ("API_KEY", "abc")],
            &["get-token", "--client-secret=swordfish", "--password", "tr0ub4dor", "-v", "--audience=api"],
        );
        let said = words.said(b"abc: prod api get-token hunter2 swordfish,tr0ub4dor\n").unwrap();
        assert_eq!(said, "abc: prod api get-token *** ***,***");
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln";
        assert_eq!(words.said(format!("bad token \"{token}\", eyJ").as_bytes()).unwrap(), "bad token \"***\", eyJ");
        assert!(!format!("{words:?}").contains("hunter2"));
    }
}
