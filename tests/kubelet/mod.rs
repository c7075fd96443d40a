//! Starts a pod's container as the kubelet does, as far as ipaudit can tell: its arguments, its variables (also those
//! of ConfigMaps), its volumes with the files of Secrets.
//!
//! Paths inside the container become paths in a temporary folder. A field that this file does not know and that would
//! change what runs ends the test: a pod must not be run as less than it is.

use std::path::PathBuf;
use std::process::{Command, Output};

use base64::Engine;
use serde_json::Value;
use tempfile::TempDir;

use crate::servers::ApiServer;
use crate::servers::command::ipaudit;

/// A node with the volumes of one pod after another: what a claim holds stays.
pub struct Node<'a> {
    api: &'a ApiServer,
    kubeconfig: PathBuf,
    volumes: TempDir,
}

impl Node<'_> {
    /// Its pods run as the owner of `token`.
    pub fn new<'a>(api: &'a ApiServer, token: &str) -> Node<'a> {
        let volumes = tempfile::tempdir().expect("a temporary folder");
        Node { api, kubeconfig: api.kubeconfig(token), volumes }
    }

    /// Where a volume of the pod is.
    pub fn mounted(&self, volume: &str) -> PathBuf {
        self.volumes.path().join(volume)
    }

    /// Mounts the pod's volumes and runs its container to its end; `now` is what the audit takes for now, `more` wins
    /// over the pod's own variables.
    pub fn run(&self, pod: &Value, now: &str, more: &[(&str, &str)]) -> Output {
        for volume in list(&pod["spec"]["volumes"]) {
            self.mount(pod, volume);
        }
        self.start(pod, now).envs(more.iter().copied()).output().expect("ipaudit starts")
    }

    /// The command of its container, for volumes as they are.
    pub fn start(&self, pod: &Value, now: &str) -> Command {
        let container = &pod["spec"]["containers"][0];
        assert!(pod["spec"]["containers"].as_array().is_some_and(|all| all.len() == 1), "one container");
        assert!(pod["spec"]["initContainers"].is_null() && container["command"].is_null(), "the image's own command");
        let mut command = ipaudit();
        // Only what the manifests say decides whether there is a history.
        command.env_remove("IPAUDIT_NO_HISTORY");
        command.args(list(&container["args"]).map(|arg| self.path(container, text(arg))));
        for (name, value) in self.variables(pod, container) {
            command.env(name, value);
        }
        command.env("KUBECONFIG", &self.kubeconfig).env("IPAUDIT_NOW", now).env("IPAUDIT_SETTLE", "100ms");
        command
    }

    /// Those of ConfigMaps first: the container's own win.
    fn variables(&self, pod: &Value, container: &Value) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for from in list(&container["envFrom"]) {
            let map = self.read(pod, "configmaps", text(&from["configMapRef"]["name"]));
            let data = map["data"].as_object().expect("data").iter();
            variables.extend(data.map(|(name, value)| (name.clone(), text(value).to_owned())));
        }
        for variable in list(&container["env"]) {
            variables.push((text(&variable["name"]).to_owned(), text(&variable["value"]).to_owned()));
        }
        for (_, value) in &mut variables {
            *value = self.path(container, value);
        }
        variables
    }

    /// A text that may be a path in the container.
    fn path(&self, container: &Value, value: &str) -> String {
        let mount = list(&container["volumeMounts"]).find(|m| value.starts_with(text(&m["mountPath"])));
        match mount {
            Some(mount) => {
                let inside = value.strip_prefix(text(&mount["mountPath"])).expect("it starts so");
                format!("{}{inside}", self.mounted(text(&mount["name"])).display())
            }
            None => value.to_owned(),
        }
    }

    fn mount(&self, pod: &Value, volume: &Value) {
        let folder = self.mounted(text(&volume["name"]));
        std::fs::create_dir_all(&folder).expect("a volume");
        if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
            self.read(pod, "persistentvolumeclaims", claim);
            return;
        }
        let secret = self.read(pod, "secrets", text(&volume["secret"]["secretName"]));
        for (name, value) in secret["data"].as_object().expect("a filled Secret") {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text(value)).expect("base64");
            std::fs::write(folder.join(name), bytes).expect("a file of a Secret");
        }
    }

    fn read(&self, pod: &Value, kind: &str, name: &str) -> Value {
        let namespace = text(&pod["metadata"]["namespace"]);
        self.api.admin_get(&format!("/api/v1/namespaces/{namespace}/{kind}/{name}"))
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
