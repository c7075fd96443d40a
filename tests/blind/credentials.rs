//! Credentials that cannot be had when an audit runs: Kubernetes is then as unreachable as one that is down, and etcd is
//! read all the same. What a person wrote wrong stays wrong usage.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use base64::Engine as _;

use super::servers::command::{document, ipaudit, ipaudit_that_hears, stderr, text};
use super::servers::http1::{Answer, Http};
use super::servers::{ApiServer, Etcd, EtcdVersion, need};
use super::{World, servers, verdict};

/// A kubeconfig of one user, whose server is nobody.
struct Kubeconfig {
    folder: tempfile::TempDir,
    cluster: Value,
}

impl Kubeconfig {
    fn new() -> Kubeconfig {
        let cluster = json!({ "server": format!("https://127.0.0.1:{}", servers::free_port()) });
        Kubeconfig { folder: tempfile::tempdir().unwrap(), cluster }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn of(&self, user: &Value) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": self.cluster }],
            "users": [{ "name": "u", "user": user }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        });
        let file = self.path("config");
        std::fs::write(&file, config.to_string()).unwrap();
        file.display().to_string()
    }

    /// With a plugin that runs this script.
    fn of_plugin(&self, script: &str) -> String {
        self.of(&plugin("sh", script))
    }

    /// The lines that plugins have written, a process each.
    fn pids(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("pids")).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Has a child, names both, and never ends.
    fn hanging(&self) -> String {
        format!("sleep 1000 & echo $! $$ >> {}; wait", self.path("pids").display())
    }

    /// Whoever has run does so no more: killed is soon gone, or waits to be reaped by somebody else.
    #[track_caller]
    fn all_are_gone(&self) {
        let pids: BTreeSet<String> = self.pids().into_iter().collect();
        assert!(pids.len() >= 2, "the plugin has not run: {pids:?}");
        servers::eventually("nobody runs any more", Duration::from_secs(20), || {
            !pids.iter().any(|pid| is_running(pid))
        });
    }
}

fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

fn plugin(command: &str, script: &str) -> Value {
    json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["-c", script],
        "interactiveMode": "Never", "env": [{ "name": "SECRET", "value": "very-secret" }],
    } })
}

/// The same with other fields.
fn plugin_with(command: &str, script: &str, fields: &Value) -> Value {
    let mut user = plugin(command, script);
    for (name, value) in fields.as_object().unwrap() {
        user["exec"][name] = value.clone();
    }
    user
}

/// What is printed of credentials that last until this moment.
fn given(status: &Value) -> String {
    let credential =
        json!({ "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status });
    format!("printf '%s' '{credential}'")
}

/// Blind by this cause with this hint, and what etcd alone tells stands below; standard error says so too.
#[track_caller]
fn is_blind(output: &Output, cause: &str, hint: &str) {
    let (told, errors) = (verdict(output), stderr(output));
    assert!(told.starts_with("BLIND: Kubernetes did not answer ("), "{told}");
    assert!(told.contains(cause) && told.contains(hint) && !told.contains("very-secret"), "{cause}: {told}");
    assert!(told.ends_with("; duplicates and leaks were not looked for."), "{told}");
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(text(output).contains("IPA901"), "{}", text(output));
    assert!(errors.contains("cannot read pods, nodes, services, namespaces from Kubernetes ("), "{errors}");
    assert!(errors.contains(cause) && errors.contains("(hint: ") && !errors.contains("very-secret"), "{errors}");
    assert_eq!(errors.matches(cause).count(), 1, "{errors}");
}

const BY_HAND: &str = "run the plugin by hand; kubectl uses the same one";
const FOLDER: &str = "paths in a kubeconfig are relative to its own folder";
const PEM: &str = "certificates and keys are PEM";

#[test]
fn credentials_that_cannot_be_had_are_told_and_etcd_is_read() {
    need!(Etcd3_7);
    let world = World::of("undecodable");
    let kubeconfig = Kubeconfig::new();
    let empty = kubeconfig.path("empty");
    std::fs::write(&empty, "\n").unwrap();
    let none = kubeconfig.path("none");
    let identity = |cert: &Path, key: &Path| json!({ "client-certificate": cert, "client-key": key });
    for (user, cause, hint) in [
        (
            plugin("/nonexistent/plugin --token very-secret", ""),
            "the credential plugin /nonexistent/plugin does not start: No such file or directory",
            "is it installed and on PATH?",
        ),
        (
            plugin_with("/nonexistent/plugin", "", &json!({ "installHint": "brew install\ncorp" })),
            "the credential plugin /nonexistent/plugin does not start",
            "brew install; corp",
        ),
        (plugin("sh", "exit 3"), "the credential plugin sh failed with exit status: 3", BY_HAND),
        (plugin("sh", "kill -9 $$"), "the credential plugin sh failed with signal: 9", BY_HAND),
        (
            plugin("sh", "echo very-secret; echo $SECRET token has expired, >&2; echo run: corp login >&2; exit 1"),
            "the credential plugin sh failed with exit status: 1, saying: *** token has expired,; run: corp login",
            BY_HAND,
        ),
        // As kubectl has it, nobody can answer it here.
        (
            plugin_with("sh", "echo why >&2; cat; exit 1", &json!({ "interactiveMode": "IfAvailable" })),
            "the credential plugin sh failed with exit status: 1, saying: why",
            BY_HAND,
        ),
        (
            json!({ "auth-provider": { "name": "gcp", "config": { "cmd-path": "false", "cmd-args": "very-secret" } } }),
            "the credential plugin false failed with exit status: 1",
            BY_HAND,
        ),
        (
            json!({ "auth-provider": { "name": "gcp", "config": { "cmd-path": "/nonexistent/old" } } }),
            "the credential plugin /nonexistent/old does not start",
            "is it installed and on PATH?",
        ),
        (
            json!({ "auth-provider": { "name": "azure", "config": {} } }),
            "auth-provider is one that is not supported",
            "name a credential plugin (exec)",
        ),
        (
            plugin("sh", "echo 'token: [very-secret'"),
            "what the credential plugin sh prints is not an ExecCredential",
            BY_HAND,
        ),
        (plugin("sh", "echo '{}'"), "the credential plugin sh gave no credentials", BY_HAND),
        (
            plugin("sh", &given(&json!({ "token": "very-secret\n" }))),
            "the token of its credentials holds characters that no token has",
            "look for a line break in it",
        ),
        (
            plugin("sh", &given(&json!({ "token": "t", "expirationTimestamp": "soon" }))),
            "the token of the credential plugin sh expires at no time that can be read",
            BY_HAND,
        ),
        (json!({ "tokenFile": none }), "the token file", "who writes it, and may this user read it?"),
        (json!({ "tokenFile": empty }), "is empty", "who writes it, and may this user read it?"),
        (json!({ "token": "very-secret\n" }), "holds characters that no token has", "look for a line break in it"),
        (identity(&none, &none), "failed to load client certificate", FOLDER),
        (identity(&empty, &empty), "identity PEM is missing a private key", PEM),
        (json!({ "client-certificate-data": "%%" }), "failed to load client certificate", PEM),
    ] {
        is_blind(&world.audit(&["--kubeconfig", &kubeconfig.of(&user)]), cause, hint);
    }
    for (field, value, cause, hint) in [
        ("certificate-authority", json!(none), "failed to load certificate authority", FOLDER),
        ("certificate-authority-data", json!("%%"), "failed to load certificate authority", PEM),
    ] {
        let mut kubeconfig = Kubeconfig::new();
        kubeconfig.cluster[field] = value;
        is_blind(&world.audit(&["--kubeconfig", &kubeconfig.of(&json!({}))]), cause, hint);
    }
}

/// What a real server, and what is none, make of a kubeconfig that is damaged.
#[test]
fn a_damaged_kubeconfig_is_told_with_its_cure() {
    need!(Etcd3_7, ApiServer);
    let world = World::of("undecodable");
    let server = ApiServer::shared();
    let tls = server.tls();
    let base64 = |text: &str| json!(base64::engine::general_purpose::STANDARD.encode(text));
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let no_ca = "its certificate authority holds no certificate";
    let audit = |cluster: &Value, user: &Value| {
        let mut kubeconfig = Kubeconfig::new();
        kubeconfig.cluster = json!({ "server": server.url(), "certificate-authority": server.ca() });
        for (field, value) in cluster.as_object().unwrap() {
            kubeconfig.cluster[field] = value.clone();
        }
        world.audit(&["--kubeconfig", &kubeconfig.of(user), "--kube-timeout", "1s"])
    };
    for (data, cause, hint) in [
        (base64("hello"), no_ca, PEM),
        (base64(&tls.ca_pem()[..100]), no_ca, PEM),
        (base64(&tls.client.key_pem()), no_ca, PEM),
        (base64(garbage), "failed to add a root certificate", PEM),
        (base64(&std::fs::read_to_string(&tls.other_ca).unwrap()), "UnknownIssuer", "is this the right cluster?"),
    ] {
        let cluster = json!({ "certificate-authority-data": data });
        is_blind(&audit(&cluster, &json!({})), cause, hint);
    }
    let pair =
        |cert: &str, key: &str| json!({ "client-certificate-data": base64(cert), "client-key-data": base64(key) });
    let (own, other) = (&tls.client, &tls.other_client);
    for (user, cause, hint) in [
        (pair(&own.cert_pem(), &other.key_pem()), "KeyMismatch", "client certificate and client key are not a pair"),
        (pair("x", &own.key_pem()), "missing certificate", PEM),
        (pair(garbage, &own.key_pem()), "BadEncoding", PEM),
        (pair(&own.cert_pem(), &garbage.replace("CERTIFICATE", "PRIVATE KEY")), "failed to parse private key", PEM),
        (json!({ "client-certificate-data": base64(&own.cert_pem()) }), "failed to load client key", PEM),
    ] {
        is_blind(&audit(&json!({}), &user), cause, hint);
    }
    let web = Http::start(|_| Answer::Whole { code: 404, kind: "text/html", headers: Vec::new(), body: String::new() });
    let busy =
        Http::start(|_| Answer::Whole { code: 503, kind: "text/html", headers: Vec::new(), body: String::new() });
    let silent = Http::start(|_| Answer::Hang);
    let gone = Http::start(|_| Answer::HangUp);
    for (server, cause, hint) in [
        (server.url().replace("https", "http"), "answered 400 Bad Request", "no API server"),
        (web.url(), "answered 404 Not Found", "no API server"),
        (busy.url(), "answered 503", "is the API server behind it up?"),
        (silent.url(), "did not answer within 1s", "--kube-timeout"),
        (gone.url(), "", "hung up"),
        (world.etcd.endpoint().replace("http", "https"), "tls handshake eof", "hung up"),
        ("https://no..such..name:6443".to_owned(), "invalid dns name", "does not resolve"),
    ] {
        let output = audit(&json!({ "server": server }), &json!({ "token": "x" }));
        let told = verdict(&output);
        assert!(told.starts_with("BLIND: Kubernetes did not answer ("), "{told}");
        assert!(told.contains(cause) && told.contains(hint), "{server}: {told}");
        assert_eq!(output.status.code(), Some(3));
    }
    let name = audit(&json!({ "tls-server-name": "other.example" }), &json!({ "token": "x" }));
    is_blind(&name, "not valid for name", "tls-server-name in the kubeconfig");
    // What somebody wrote wrong: nothing is read, and nobody panics.
    for server in ["127.0.0.1:6443", "localhost", "ftp://127.0.0.1:6443", ""] {
        let output = audit(&json!({ "server": server }), &json!({}));
        let told = stderr(&output);
        assert_eq!((output.status.code(), text(&output).as_str()), (Some(2), ""), "{server}: {told}");
        assert!(
            told.starts_with("ipaudit: cannot read the kubeconfig (") && told.contains("hint: "),
            "{server}: {told}"
        );
        assert_eq!(told.lines().count(), 2, "{server}: {told}");
    }
}

/// Nobody is told of findings who did not ask for what he wrote.
#[test]
fn a_place_that_cannot_be_meant_stays_wrong() {
    need!(Etcd3_7);
    let world = World::of("clean-small");
    let kubeconfig = Kubeconfig::new();
    let good = kubeconfig.of(&json!({}));
    let broken = kubeconfig.path("broken");
    std::fs::write(&broken, "users: [").unwrap();
    let (absent, broken) = (kubeconfig.path("absent").display().to_string(), broken.display().to_string());
    for args in
        [&["--kubeconfig", &absent][..], &["--kubeconfig", &broken], &["--kubeconfig", &good, "--context", "other"]]
    {
        let output = world.audit(args);
        assert_eq!((output.status.code(), text(&output).as_str()), (Some(2), ""), "{args:?}: {}", stderr(&output));
    }
}

/// Every command that asks Kubernetes does what it can without it, and a release refuses.
#[test]
fn other_commands_see_what_etcd_tells() {
    need!(Etcd3_7);
    let world = World::of("incident-2017");
    let kubeconfig = Kubeconfig::new();
    let file = kubeconfig.of_plugin("exit 3");
    let endpoint = world.etcd.endpoint();
    let run = |args: &[&str]| {
        let connection = ["--etcd-endpoints", &endpoint, "--kubeconfig", &file];
        ipaudit().args(args).args(connection).env("COLUMNS", "160").env("IPAUDIT_SETTLE", "10ms").output().unwrap()
    };
    const CAUSE: &str = "the credential plugin sh failed with exit status: 3";
    for args in [&["who", "10.65.0.0/26"][..], &["blocks"], &["check-access"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", stderr(&output));
        let told = text(&output).replace("\n  ", " ") + &stderr(&output);
        assert!(!output.stdout.is_empty() && told.contains(CAUSE), "{args:?}: {told}");
    }
    let capture = kubeconfig.path("capture.gz").display().to_string();
    assert_eq!(run(&["capture", "--file", &capture]).status.code(), Some(3));
    let again = ipaudit().args(["audit", "--from", &capture]).env("COLUMNS", "160").output().unwrap();
    assert!(verdict(&again).contains(CAUSE), "{}", verdict(&again));
    // Pods that cannot be asked for what their nodes say are no wrong usage either.
    is_blind_of_nodes(&run(&["audit", "--node-evidence", "pods:kube-system/k8s-app=x"]), CAUSE);
    let release = run(&[
        "release",
        "--code",
        "IPA110",
        "--older-than",
        "0s",
        "--yes",
        "--db",
        &kubeconfig.path("db").display().to_string(),
    ]);
    assert_eq!(release.status.code(), Some(1), "{}{}", text(&release), stderr(&release));
    let told = text(&release).replace("\n  ", " ") + &stderr(&release);
    assert!(told.contains("REFUSED") && told.contains(CAUSE), "{told}");
}

#[track_caller]
fn is_blind_of_nodes(output: &Output, cause: &str) {
    let told = verdict(output);
    assert!(told.contains("Kubernetes did not answer (") && told.contains(cause), "{told}");
    assert_eq!(output.status.code(), Some(3));
}

/// With all that it has started.
#[test]
fn a_plugin_that_hangs_is_gone_when_it_is_given_up() {
    need!(Etcd3_7);
    let world = World::of("undecodable");
    let kubeconfig = Kubeconfig::new();
    let file = kubeconfig.of_plugin(&kubeconfig.hanging());
    let output = world.audit(&["--kubeconfig", &file, "--kube-timeout", "500ms"]);
    is_blind(&output, "the credential plugin sh did not end within 500ms", BY_HAND);
    kubeconfig.all_are_gone();
    // Who has ended himself and leaves somebody behind who holds the pipe.
    let kubeconfig = Kubeconfig::new();
    let pids = kubeconfig.path("pids").display().to_string();
    let file = kubeconfig.of_plugin(&format!("(sleep 1000; true) & echo $! $$ >> {pids}; exit 0"));
    is_blind(&world.audit(&["--kubeconfig", &file, "--kube-timeout", "500ms"]), "did not end within 500ms", BY_HAND);
    kubeconfig.all_are_gone();
    // Of before there was a protocol.
    let kubeconfig = Kubeconfig::new();
    let script = kubeconfig.path("old.sh");
    std::fs::write(
        &script,
        format!("echo $$ $$ >> {pids}\nexec sleep 1000\n", pids = kubeconfig.path("pids").display()),
    )
    .unwrap();
    let provider = json!({ "name": "gcp", "config": { "cmd-path": "sh", "cmd-args": script } });
    let file = kubeconfig.of(&json!({ "auth-provider": provider }));
    is_blind(&world.audit(&["--kubeconfig", &file, "--kube-timeout", "500ms"]), "did not end within 500ms", BY_HAND);
    let pids = kubeconfig.pids();
    assert!(!pids.is_empty() && !pids.iter().any(|pid| is_running(pid)), "{pids:?}");
}

/// A token that is about to expire is asked for anew before each request.
#[test]
fn a_plugin_that_hangs_later_is_gone_too() {
    need!(Etcd3_7);
    let world = World::of("undecodable");
    let kubeconfig = Kubeconfig::new();
    let good = given(&json!({ "token": "t", "expirationTimestamp": "2020-01-01T00:00:00Z" }));
    let runs = kubeconfig.path("runs").display().to_string();
    // The kube crate runs it twice to begin with.
    let script =
        format!("echo >> {runs}; if [ $(wc -l < {runs}) -le 2 ]; then {good}; else {}; fi", kubeconfig.hanging());
    let file = kubeconfig.of_plugin(&script);
    let output = world.audit(&["--kubeconfig", &file, "--kube-timeout", "500ms"]);
    is_blind(&output, "the credential plugin sh did not end within", BY_HAND);
    kubeconfig.all_are_gone();
}

#[test]
fn a_watch_leaves_no_plugin_behind_in_any_round() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let kubeconfig = Kubeconfig::new();
    let file = kubeconfig.of_plugin(&kubeconfig.hanging());
    let mut command = ipaudit();
    command.args(["audit", "--watch", "1s", "--settle", "0", "--kube-timeout", "300ms", "--kubeconfig", &file]);
    command.args(["--etcd-endpoints", &etcd.endpoint()]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watch = command.spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("BLIND: ")).unwrap();
    }
    // Who reads no more ends it.
    drop(lines);
    watch.wait().unwrap();
    kubeconfig.all_are_gone();
}

/// Any command, ended by any signal while it waits for a plugin: nobody of the plugin stays behind, and a shell shows the
/// signal.
#[test]
fn a_signal_ends_the_plugin_with_the_command() {
    need!(Etcd3_7);
    let world = World::of("undecodable");
    let endpoint = world.etcd.endpoint();
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.json").display().to_string();
    let run = |script: &dyn Fn(&Kubeconfig) -> String, command: &[&str], signal: &str, code: i32| {
        let kubeconfig = Kubeconfig::new();
        let file = kubeconfig.of_plugin(&script(&kubeconfig));
        let mut child = ipaudit_that_hears();
        child.args(command).args(["--kubeconfig", &file, "--kube-timeout", "10m", "--etcd-endpoints", &endpoint]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        servers::eventually("the plugin runs", Duration::from_secs(60), || kubeconfig.pids().len() >= 2);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{command:?} {signal}");
        kubeconfig.all_are_gone();
    };
    let hanging = |kubeconfig: &Kubeconfig| kubeconfig.hanging();
    for command in [
        &["audit"][..],
        &["who", "10.65.0.1"],
        &["blocks"],
        &["check-access"],
        &["capture", "-f", &capture],
        &["release", "--handle", "h"],
        &["undo", "1"],
    ] {
        run(&hanging, command, "-TERM", 143);
    }
    for (signal, code) in [("-INT", 130), ("-HUP", 129), ("-QUIT", 131)] {
        run(&hanging, &["audit"], signal, code);
    }
    // Who has ended himself and leaves somebody behind who holds the pipe.
    let orphan = |kubeconfig: &Kubeconfig| {
        format!("(sleep 1000; true) & echo $! $$ >> {}; exit 0", kubeconfig.path("pids").display())
    };
    run(&orphan, &["audit"], "-TERM", 143);
    // A token that is about to expire is asked for anew before each request.
    let later = |kubeconfig: &Kubeconfig| {
        let good = given(&json!({ "token": "t", "expirationTimestamp": "2020-01-01T00:00:00Z" }));
        let runs = kubeconfig.path("runs").display().to_string();
        format!("echo >> {runs}; if [ $(wc -l < {runs}) -le 2 ]; then {good}; else {}; fi", kubeconfig.hanging())
    };
    run(&later, &["audit"], "-TERM", 143);
    // The first signal lets the audit of a watch end, the second one does not.
    let kubeconfig = Kubeconfig::new();
    let file = kubeconfig.of_plugin(&kubeconfig.hanging());
    let mut watch = ipaudit_that_hears();
    watch.args(["audit", "--watch", "1h", "--kubeconfig", &file, "--kube-timeout", "10m"]);
    watch.args(["--etcd-endpoints", &endpoint]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut errors = BufReader::new(watch.stderr.take().unwrap()).lines().map_while(Result::ok);
    servers::eventually("the plugin runs", Duration::from_secs(60), || kubeconfig.pids().len() >= 2);
    let signal = || Command::new("kill").args(["-INT", &watch.id().to_string()]).status().unwrap();
    assert!(signal().success() && errors.any(|line| line.contains("Ctrl-C once more")) && signal().success());
    assert_eq!(watch.wait().unwrap().code(), Some(130));
    kubeconfig.all_are_gone();
}

/// What was to live on, and nobody waits for, is let be: a browser that a plugin has opened.
#[test]
fn nobody_else_is_ended() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    for is_signalled in [true, false] {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut kubeconfig = Kubeconfig::new();
        kubeconfig.cluster = json!({ "server": format!("http://{}", silent.local_addr().unwrap()) });
        let opens = format!("sleep 1000 > /dev/null 2>&1 & echo $! >> {}; ", kubeconfig.path("pids").display());
        let file = kubeconfig.of_plugin(&(opens + &given(&json!({ "token": "t" }))));
        let patience = if is_signalled { "10m" } else { "500ms" };
        let mut command = ipaudit_that_hears();
        command.args(["audit", "--kubeconfig", &file, "--kube-timeout", patience]);
        command.args(["--etcd-endpoints", &etcd.endpoint()]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut audit = command.spawn().unwrap();
        // It has its token, and asks.
        let asked = silent.accept().unwrap();
        if is_signalled {
            assert!(Command::new("kill").args(["-TERM", &audit.id().to_string()]).status().unwrap().success());
        }
        let told: Vec<String> = BufReader::new(audit.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
        assert_eq!(audit.wait().unwrap().code(), Some(if is_signalled { 143 } else { 3 }));
        assert!(is_signalled || told.join(" ").contains("did not answer within 500ms"), "{told:?}");
        drop(asked);
        let pids = kubeconfig.pids();
        let gone: Vec<_> = pids.iter().filter(|pid| !is_running(pid)).collect();
        assert!(!pids.is_empty() && gone.is_empty(), "{gone:?} of {pids:?}");
        for pid in pids {
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        }
    }
}

/// Credentials of which a real server says what it thinks.
#[test]
fn a_plugin_gives_what_a_real_server_takes_or_not() {
    need!(Etcd3_7, ApiServer);
    let world = World::of("undecodable");
    let server = ApiServer::shared();
    let mut kubeconfig = Kubeconfig::new();
    kubeconfig.cluster = json!({ "server": server.url(), "certificate-authority": server.ca() });
    for token in [json!({ "token": "x" }), json!({ "token": "x", "expirationTimestamp": "2020-01-01T00:00:00Z" })] {
        let output = world.audit(&["--kubeconfig", &kubeconfig.of_plugin(&given(&token))]);
        let told = verdict(&output);
        assert!(told.starts_with("BLIND: Kubernetes did not answer (Unauthorized: has the token expired?)"), "{told}");
    }
    let file = kubeconfig.of_plugin("exit 1");
    let access = ["check-access", "-o", "json", "--etcd-endpoints", &world.etcd.endpoint(), "--kubeconfig", &file];
    let access = document(&ipaudit().args(access).output().unwrap(), "access");
    assert!(access.to_string().contains("the credential plugin sh failed"), "{access}");
}
