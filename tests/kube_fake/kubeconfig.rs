//! The way to the server: kubeconfigs, contexts, credential plugins.

use std::path::Path;

use ipaudit::connect::kube::{KubeSettings, Surroundings, connect};
use ipaudit::error::{Error, chain};
use serde_json::json;

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
    ] {
        let error = fails(with(command, script)).await;
        let text = format!("{} {} {error:?}", chain(&error), error.hint);
        assert!(text.contains(says) && !text.contains("very-secret"), "{text}");
    }
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
