//! The way to the server: kubeconfigs, contexts, credential plugins.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipaudit::connect::kube::{KubeSettings, Surroundings, connect};
use ipaudit::error::{Error, chain};
use ipaudit::source::kube_api::{Failure, KubeApi, Patience};
use serde_json::{Value, json};

use super::http1::Http;
use super::server::kubeconfig;

async fn fails(settings: KubeSettings) -> Error {
    connect(&settings, &Surroundings::default()).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_kubeconfig_that_is_no_good_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = kubeconfig("http://127.0.0.1:1", folder.path());
    let with = |file: &Path, context: Option<&str>| KubeSettings {
        kubeconfig: Some(file.to_owned()),
        context: context.map(str::to_owned),
        ..KubeSettings::default()
    };
    let error = fails(with(&folder.path().join("missing"), None)).await;
    assert!(chain(&error).contains("No such file") && error.hint.contains("--kubeconfig"), "{error:?}");

    let error = fails(with(&file, Some("prod"))).await;
    assert!(chain(&error).contains("\"prod\"") && error.hint.contains("fake"), "{error:?}");

    let bad = folder.path().join("bad");
    std::fs::write(&bad, "users:\n- name: me\n  user: {token: very-secret\n").unwrap();
    let error = fails(with(&bad, None)).await;
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("line") && !text.contains("very-secret"), "{text}");

    std::fs::write(&bad, "").unwrap();
    let error = fails(with(&bad, None)).await;
    assert!(chain(&error).contains("no current context"), "{error:?}");
}

#[tokio::test]
async fn a_credential_plugin_is_run_and_its_secrets_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let with = |command: &str, script: &str| {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["-c", script],
            "env": [{ "name": "SECRET", "value": "very-secret" }], "interactiveMode": "Never",
        });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": { "server": "http://127.0.0.1:1" } }],
            "users": [{ "name": "me", "user": { "exec": exec } }],
            "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "me" } }],
        });
        std::fs::write(&file, config.to_string()).unwrap();
        KubeSettings { kubeconfig: Some(file.clone()), ..KubeSettings::default() }
    };
    let good =
        r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}'"#;
    let client = connect(&with("sh", good), &Surroundings::default()).await.unwrap().unwrap();
    assert!(client.source.contains("credential plugin"), "{}", client.source);

    for (command, script, says) in [
        ("sh", "echo very-secret; echo very-secret >&2; exit 3", "exit status: 3"),
        ("sh", "echo 'token: [very-secret'", "not an ExecCredential"),
        ("/nonexistent/plugin", "", "does not start"),
        // Its token has a line break, which no header takes.
        (
            "sh",
            r#"printf '%s' '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"very-secret\n"}}'"#,
            "holds characters that no token has",
        ),
    ] {
        let error = fails(with(command, script)).await;
        let text = format!("{} {} {error:?}", chain(&error), error.hint);
        assert!(text.contains(says) && !text.contains("very-secret"), "{text}");
    }
}

/// Who waits for it is told whom he waits for, and for how long.
#[tokio::test]
async fn a_credential_plugin_that_hangs_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", "exec sleep 60"],
        "interactiveMode": "Never",
    });
    std::fs::write(&file, config_of(&json!({ "exec": exec }), "http://127.0.0.1:1")).unwrap();
    let timeout = Duration::from_millis(300);
    let error = fails(KubeSettings { kubeconfig: Some(file), timeout, ..KubeSettings::default() }).await;
    assert!(chain(&error).contains("the credential plugin sh did not end within 300ms"), "{error:?}");
}

fn config_of(user: &Value, server: &str) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{ "name": "fake", "cluster": { "server": server } }],
        "users": [{ "name": "me", "user": user }],
        "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "me" } }],
    });
    config.to_string()
}

/// As kubectl 1.37 takes it: the text of a file without the blanks around it, of which an empty one is none; what stands in
/// the kubeconfig itself as it is.
#[tokio::test]
async fn a_token_is_taken_as_kubectl_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, token) = (folder.path().join("config"), folder.path().join("token"));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let kept = sent.clone();
    let server = Http::start(move |asked| {
        let of = |header: &String| header.to_ascii_lowercase().starts_with("authorization:");
        kept.lock().unwrap().extend(asked.headers.iter().find(|header| of(header)).cloned());
        super::server::status(401, "Unauthorized", "Unauthorized")
    });
    let with = |user: Value| {
        std::fs::write(&file, config_of(&user, &server.url())).unwrap();
        KubeSettings { kubeconfig: Some(file.clone()), ..KubeSettings::default() }
    };
    for text in ["sekret", "sekret\n", "  sekret \r\n"] {
        std::fs::write(&token, text).unwrap();
        let client = connect(&with(json!({ "tokenFile": token })), &Surroundings::default()).await.unwrap().unwrap();
        let api = KubeApi::new(client, Patience::default());
        assert_eq!(api.get("/version", api.deadline()).await.unwrap_err(), Failure::Unauthorized);
        let header = sent.lock().unwrap().pop().unwrap();
        assert!(header.ends_with("Bearer sekret"), "{text:?}: {header:?}");
    }
    std::fs::write(&token, "\n").unwrap();
    let error = fails(with(json!({ "tokenFile": token }))).await;
    assert!(chain(&error).contains("is empty"), "{error:?}");
    let error = fails(with(json!({ "token": "very-secret\n" }))).await;
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("holds characters that no token has") && !text.contains("very-secret"), "{text}");
}

#[tokio::test]
async fn without_any_place_kubernetes_was_not_asked_for() {
    let nothing = connect(&KubeSettings::default(), &Surroundings::default()).await.unwrap();
    assert!(nothing.is_none());
}

#[tokio::test]
async fn several_kubeconfigs_are_merged_and_the_context_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "late",
        "clusters": [{ "name": "late", "cluster": { "server": "http://127.0.0.1:2" } }],
        "users": [], "contexts": [{ "name": "late", "context": { "cluster": "late", "user": "" } }],
    });
    std::fs::write(&second, config.to_string()).unwrap();
    let first = kubeconfig("http://127.0.0.1:1", folder.path());
    let list = std::env::join_paths([first.as_path(), &folder.path().join("missing"), &second]).unwrap();
    let around = Surroundings { kubeconfig: Some(list), ..Surroundings::default() };
    let default = connect(&KubeSettings::default(), &around).await.unwrap().unwrap();
    assert_eq!(default.server, "http://127.0.0.1:1");
    assert!(default.source.contains("KUBECONFIG") && default.source.ends_with("context fake, a token"));
    let settings = KubeSettings { context: Some("late".to_owned()), ..KubeSettings::default() };
    let chosen = connect(&settings, &around).await.unwrap().unwrap();
    assert_eq!(chosen.server, "http://127.0.0.1:2");
}
