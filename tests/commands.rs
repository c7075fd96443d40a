//! What holds of every command, and commands that read no cluster, through the binary: help, what is said on standard
//! error, what it was built from, what its checks mean.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../build/commit.rs"]
mod commit;
mod servers;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use servers::command::{ipaudit, json, stderr};

fn run(args: &[&str]) -> Output {
    ipaudit().args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Holds a document to its schema in `docs/`.
fn holds(document: &Value, schema: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(schema);
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(document).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn version_says_what_the_binary_was_built_from() {
    let built = json(&run(&["version", "-o", "json"]));
    holds(&built, "version.schema.json");
    let said = option_env!("IPAUDIT_COMMIT").unwrap_or_default();
    let commit = commit::find(Path::new(env!("CARGO_MANIFEST_DIR")), said).commit;
    assert_eq!(built["commit"].as_str(), commit.as_deref(), "what is checked out here");
    assert_eq!(built["tool"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(built["features"].as_array().unwrap().contains(&"srv".into()), cfg!(feature = "srv"));
    assert_eq!(built["features"].as_array().unwrap().contains(&"node".into()), cfg!(feature = "node"));
    assert!(built["target"].as_str().unwrap().contains(std::env::consts::ARCH), "{built}");
    let table = stdout(&run(&["version"]));
    assert!(table.starts_with(concat!("ipaudit ", env!("CARGO_PKG_VERSION"), "\ncommit    ")), "{table}");
    assert!(table.contains(built["target"].as_str().unwrap()) && table.contains("\nfeatures  "), "{table}");
    assert_eq!(stdout(&run(&["--version"])), concat!("ipaudit ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(run(&["version", "-o", "yaml"]).status.code(), Some(2));
}

/// A clone, a branch that is only packed, a worktree, a package of cargo's, and nothing of these.
#[test]
fn a_build_finds_its_commit_without_git() {
    let (one, two) = ("1234567890abcdef1234567890abcdef12345678", "f".repeat(64));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |file: &str, text: &str| {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let found = |sub: &str, said: &str| commit::find(&root.join(sub), said).commit;
    write("clone/.git/HEAD", "ref: refs/heads/main\n");
    assert_eq!(found("clone", ""), None, "no commit yet");
    write(
        "clone/.git/packed-refs",
        &format!("# pack-refs\n{two} refs/heads/x/refs/heads/main\n{one} refs/heads/main\n"),
    );
    assert_eq!(found("clone", "").as_deref(), Some(one), "packed");
    write("clone/.git/refs/heads/main", &format!("{two}\n"));
    assert_eq!(found("clone", ""), Some(two.clone()), "the loose one is newer");
    assert_eq!(found("clone", one).as_deref(), Some(one), "who builds knows better");
    assert_eq!(found("clone", "not a commit"), Some(two.clone()));
    write("clone/.git/worktrees/w/HEAD", "ref: refs/heads/w\n");
    write("clone/.git/worktrees/w/commondir", "../..\n");
    write("clone/.git/refs/heads/w", one);
    write("tree/.git", "gitdir: ../clone/.git/worktrees/w\n");
    assert_eq!(found("tree", "").as_deref(), Some(one), "a worktree");
    write("detached/.git/HEAD", one);
    assert_eq!(found("detached", "").as_deref(), Some(one));
    write("package/.cargo_vcs_info.json", &format!("{{\"git\": {{\"sha1\": \"{one}\"}}, \"path_in_vcs\": \"\"}}"));
    assert_eq!(found("package", "").as_deref(), Some(one));
    write("clone/vendor/ipaudit/Cargo.toml", "");
    assert_eq!(found("clone/vendor/ipaudit", ""), None, "the repository around it is another one");
    // What is watched is there: cargo builds anew every time where it is not.
    write("clone/build/main.rs", "");
    let watch = commit::find(&root.join("clone"), "").watch;
    assert!(watch.len() > 2 && watch.iter().all(|file| file.exists()), "{watch:?}");
}

#[test]
fn explain_takes_codes_names_and_globs_and_several_at_once() {
    let one = stdout(&run(&["explain", "IPA101"]));
    for word in ["ipa101", "101", "duplicate-pod-address"] {
        assert_eq!(stdout(&run(&["explain", word])), one, "{word}");
    }
    let titles = |args: &[&str]| -> Vec<String> {
        let text = stdout(&run(args));
        text.lines().filter(|line| line.starts_with("IPA")).map(|line| line[..6].to_owned()).collect()
    };
    assert_eq!(titles(&["explain", "IPA201", "leaked-address", "201"]), ["IPA201", "IPA110"], "as named, each once");
    let endpoints = titles(&["explain", "IPA5*"]);
    assert!(endpoints.len() > 5 && endpoints.iter().all(|code| code.starts_with("IPA5")), "{endpoints:?}");
}

#[test]
fn explain_in_json_is_one_versioned_document() {
    let some = json(&run(&["explain", "5*", "101", "-o", "json"]));
    holds(&some, "explain.schema.json");
    let codes: Vec<&str> = some["checks"].as_array().unwrap().iter().map(|c| c["code"].as_str().unwrap()).collect();
    assert_eq!((codes.first(), codes.last()), (Some(&"IPA501"), Some(&"IPA101")));
    let leak = json(&run(&["explain", "110", "-o", "json"]))["checks"][0].clone();
    assert_eq!((&leak["name"], &leak["twice"]), (&"leaked-address".into(), &true.into()));
    assert!(leak["docs"].as_str().unwrap().ends_with("/checks.md#ipa110-leaked-address"), "{leak}");
    assert!(leak["needs"].as_array().unwrap().contains(&"pods".into()), "{leak}");
    let all = json(&run(&["explain", "-o", "json"]));
    holds(&all, "explain.schema.json");
    assert_eq!(all["checks"].as_array().unwrap().len(), ipaudit::checks::ALL.len());
}

#[test]
fn explain_of_what_no_check_is_called_says_what_comes_near() {
    for (word, hint) in [
        ("duplicate-pod-adress", "did you mean duplicate-pod-address?"),
        ("IPA1O1", "did you mean IPA101"),
        ("nonsense", "ipaudit explain lists all"),
        ("IPA8*", "ipaudit explain lists all"),
        ("\u{1b}[2J", "ipaudit explain lists all"),
    ] {
        let output = run(&["explain", "IPA101", word]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{word}");
        let says = stderr(&output);
        assert!(says.contains("no check has this code or name") && says.contains(hint), "{word}: {says}");
        assert!(!says.contains('\u{1b}'), "{says:?}");
    }
}

/// Whoever asks for help at a small terminal sees all of it.
#[test]
fn short_help_is_short_and_long_help_has_everything_and_examples() {
    let help = |args: &[&str]| stdout(&ipaudit().args(args).env("COLUMNS", "100").output().unwrap());
    let short = help(&["audit", "-h"]);
    assert!(short.lines().count() <= 40, "{} lines\n{short}", short.lines().count());
    assert!(short.lines().all(|line| line.chars().count() <= 100), "{short}");
    assert!(
        short.contains("--etcd-endpoints") && !short.contains("--db-journal") && !short.contains("[env:"),
        "{short}"
    );
    for heading in ["Connection:", "Kubernetes:", "What counts:", "History:", "Output:"] {
        assert!(short.lines().any(|line| line == heading), "{heading}\n{short}");
    }
    assert!(!short.contains("\nOptions:"), "{short}");
    let long = help(&["audit", "--help"]);
    assert!(long.contains("--db-journal") && long.contains("[env: IPAUDIT_DB_JOURNAL]"), "{long}");
    for command in ["audit", "check-access", "capture", "release", "undo", "explain", "history prune", "report", "who"]
    {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let long = help(&args);
        let (_, examples) = long.split_once("\nExamples:\n").unwrap();
        assert!(examples.contains(&format!("  ipaudit {command} ")), "{command}: {long}");
    }
    assert!(help(&["release", "--help"]).contains("\nSafety:\n"));
}

/// Each line of standard error as an object, which has at least what is promised.
fn log_lines(output: &Output) -> Vec<Value> {
    let text = stderr(output);
    let line = |line: &str| -> Value { serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}\n{text}")) };
    let lines: Vec<Value> = text.lines().map(line).collect();
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.len() >= 20 && time.ends_with('Z'), "{line}");
        assert!(["error", "warning", "info", "debug"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(!line["message"].as_str().unwrap().is_empty(), "{line}");
        let fields = line.as_object().unwrap().keys().map(String::as_str);
        assert!(fields.clone().all(|f| ["time", "level", "message", "hint"].contains(&f)), "{line}");
    }
    lines
}

#[test]
fn an_error_is_one_json_object_with_its_hint() {
    let failed = |args: &[&str]| {
        let output = run(args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
        let lines = log_lines(&output);
        assert_eq!((lines.len(), &lines[0]["level"]), (1, &"error".into()), "{args:?}: {lines:?}");
        lines[0].clone()
    };
    let absent = failed(&["report", "--db", "/nonexistent/history.db", "--log-format", "json"]);
    assert!(absent["message"].as_str().unwrap().contains("/nonexistent/history.db"), "{absent}");
    assert!(absent["hint"].as_str().unwrap().contains("--db"), "{absent}");
    let unknown = failed(&["--log-format", "json", "explain", "duplicate-pod-adress"]);
    let hint = unknown["hint"].as_str().unwrap();
    assert!(hint.contains("did you mean") && hint.ends_with("usage: see ipaudit explain --help"), "{unknown}");
    // What clap finds wrong, before any flag is read.
    for args in [["audit", "--log-format=json", "--nonsense"], ["nonsense", "--log-format", "json"]] {
        assert!(failed(&args)["message"].as_str().unwrap().contains("nonsense"), "{args:?}");
    }
    let hostile = failed(&["--log-format", "json", "explain", "\u{1b}[2J\u{202e}"]);
    assert!(hostile["message"].as_str().unwrap().contains("\u{1b}[2J"), "a parser reads the word as it was: {hostile}");
    // Help and version are no errors.
    assert!(stdout(&run(&["--log-format", "json", "--version"])).starts_with("ipaudit "));
}

#[test]
fn notes_warnings_and_what_libraries_log_are_json_lines() {
    let gone = format!("http://127.0.0.1:{}", servers::free_port());
    let objects = servers::Case::load("clean-small").moment().cluster_file.clone();
    let audit = |more: &[&str], variable: &str| {
        let mut command = ipaudit();
        command.args(["audit", "--settle", "0", "--etcd-endpoints", &gone, "--kube-objects"]).arg(&objects).args(more);
        command.env("IPAUDIT_LOG_FORMAT", variable).output().unwrap()
    };
    let output = audit(&["-v"], "json");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let lines = log_lines(&output);
    let unread = |lines: &[Value], where_: &str, hint: &str| {
        let error = lines.iter().find(|line| line["level"] == "error" && line["message"].to_string().contains(where_));
        let error = error.unwrap_or_else(|| panic!("{where_}: {lines:?}"));
        assert!(error["hint"].as_str().unwrap().starts_with(hint), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains("hint") && !message.contains(hint), "{error}");
    };
    unread(&lines, &gone, "nobody listens there");
    let says = |line: &&Value| line["message"].as_str().unwrap().contains("etcd endpoints from");
    let debug = lines.iter().find(says).unwrap();
    assert_eq!(debug["level"], "debug", "{debug}");
    log_lines(&audit(&["-vv"], "json"));
    // The same in text, and a flag wins over the variable.
    let text = stderr(&audit(&["--log-format", "text"], "json"));
    assert!(text.contains(" (hint: nobody listens there") && !text.starts_with('{'), "{text}");
    // Errors are never quiet, and their hints are part of them; everything else is.
    let quiet = log_lines(&audit(&["-q", "-v"], "json"));
    unread(&quiet, &gone, "nobody listens there");
    assert!(quiet.iter().all(|line| line["level"] == "error"), "{quiet:?}");
    // What standard output says of it there has the hint too: nothing above it does.
    let table = audit(&["-q"], "text");
    let told = stdout(&table);
    assert!(told.contains("SKIPPED") && told.contains("hint: nobody listens there"), "{told}");
    assert!(stderr(&table).contains("(hint: nobody listens there"), "{}", stderr(&table));
    // An API server that is down, and one more input that nobody can read.
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let api = format!("http://127.0.0.1:{}", servers::free_port());
    let yaml = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: '{api}'}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\ncurrent-context: x\n"
    );
    std::fs::write(&kubeconfig, yaml).unwrap();
    let mut command = ipaudit();
    command.args(["audit", "--settle", "0", "--log-format", "json", "--etcd-endpoints", &gone, "--kubeconfig"]);
    let lines = log_lines(&command.arg(&kubeconfig).output().unwrap());
    unread(&lines, &gone, "nobody listens there");
    unread(&lines, &api, "is the API server up and reachable from here?");
}

/// Whatever the file is called, the program is ipaudit, and wrong usage is told as every other error: what is wrong, one hint
/// where there is one, and whose help says more.
#[test]
fn wrong_usage_is_told_in_the_form_of_every_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ipaudit-v2.bin");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ipaudit"), &file).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&file);
        command.env_clear().env("HOME", "/nonexistent").env("IPAUDIT_NO_HISTORY", "true").args(args).output().unwrap()
    };
    for (args, said) in [
        (
            &["bogus"][..],
            "ipaudit: unrecognized subcommand 'bogus'\n  hint: a similar subcommand exists: 'blocks'\n  usage: see ipaudit --help\n",
        ),
        (
            &["audit", "--setle", "1s"],
            "ipaudit: unexpected argument '--setle' found\n  hint: a similar argument exists: '--settle'\n  \
             usage: see ipaudit audit --help\n",
        ),
        (
            &["history", "prune", "--keep", "x"],
            "ipaudit: invalid value 'x' for '--keep <DURATION>': expected number at 0; write 20s, 15m or 24h\n  \
             usage: see ipaudit history prune --help\n",
        ),
        (
            &["release", "--handle", "a", "--code", "IPA110"],
            "ipaudit: the argument '--handle <ID>' cannot be used with '--code <CODE>'\n  usage: see ipaudit release --help\n",
        ),
        (
            &["who"],
            "ipaudit: the following required arguments were not provided: <WHAT>\n  usage: see ipaudit who --help\n",
        ),
    ] {
        let output = run(args);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), said), "{args:?}");
        let line = log_lines(&run(&[args, &["--log-format", "json"]].concat()));
        assert_eq!(line.len(), 1, "{args:?}");
        assert!(line[0]["hint"].as_str().unwrap().contains("usage: see ipaudit"), "{line:?}");
    }
    for args in [&["-h"][..], &["audit", "-h"], &["history", "prune", "--help"], &[]] {
        let output = run(args);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("Usage: ipaudit ") && !text.contains("v2"), "{args:?}: {text}");
    }
}

/// Nobody reads more than a screen of short help.
#[test]
fn short_help_of_every_command_has_at_most_40_lines() {
    let below = |path: &[&str]| -> Vec<String> {
        let text = stdout(&run(&[path, &["-h"]].concat()));
        let Some((_, list)) = text.split_once("\nCommands:\n") else { return Vec::new() };
        let rows = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
        rows.filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect()
    };
    let mut paths: Vec<Vec<String>> = vec![Vec::new()];
    for name in below(&[]) {
        let under = below(&[name.as_str()]).into_iter().map(|sub| vec![name.clone(), sub]);
        paths.extend([vec![name.clone()]].into_iter().chain(under));
    }
    assert!(paths.len() > 13, "{paths:?}");
    for path in paths {
        let mut command = ipaudit();
        let output = command.env("COLUMNS", "100").args(&path).arg("-h").output().unwrap();
        let text = stdout(&output);
        assert!(text.lines().count() <= 40, "{path:?} -h has {} lines:\n{text}", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{path:?}:\n{text}");
    }
}
