//! A real kube-apiserver with an etcd 3.7 of its own, RBAC on, and no
//! controllers, scheduler or kubelet: the test is all of these.
//!
//! Users come from a token file: an administrator, the ServiceAccount that
//! ipaudit runs as (its rights are exactly what [`ApiServer::grant`] gave last),
//! and alice, who may do nothing. The certificate is signed by a CA of ours for
//! `127.0.0.1` and `localhost`.
//!
//! [`ApiServer::shared`] starts one for the whole test binary; a test that
//! changes what others rely on starts its own. Loading objects: `kube_load.rs`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::binaries;
use super::etcd::{Etcd, EtcdVersion};
use super::kube_flags::{command, expired_token, write_users};
use super::kube_users::{ADMIN, IPAUDIT_USER};
use super::process::{self, Server};
use super::proxy::Proxy;
use super::tls::Tls;
use super::{block_on, eventually, free_port, poll};

/// Ready after 3 to 10 s on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(120);
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A running kube-apiserver.
pub struct ApiServer {
    port: u16,
    tls: Tls,
    /// Granted at some time: what [`ApiServer::grant`] must see taken away.
    known: Mutex<BTreeSet<String>>,
    clients: Mutex<HashMap<String, kube::Client>>,
    server: Mutex<Option<Server>>,
    /// Dropped after the API server, which waits for its etcd when it stops.
    etcd: Mutex<Option<Etcd>>,
    folder: Mutex<Option<TempDir>>,
}

impl ApiServer {
    /// One for this test binary, stopped when the process exits.
    pub fn shared() -> &'static ApiServer {
        static SHARED: OnceLock<ApiServer> = OnceLock::new();
        extern "C" fn stop() {
            if let Some(shared) = SHARED.get() {
                shared.shut_down(Duration::ZERO);
            }
        }
        SHARED.get_or_init(|| {
            // Statics are never dropped, so nothing else would tidy up.
            process::at_exit(stop);
            ApiServer::start()
        })
    }

    /// A private one.
    pub fn start() -> ApiServer {
        let binary = binaries::kube_apiserver().expect("kube-apiserver is installed; a test asks with need! first");
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let folder = tempfile::Builder::new().prefix("ipaudit-kube-").tempdir().expect("a temporary folder");
        let tls = Tls::create(&folder.path().join("tls"));
        write_users(folder.path());
        for _ in 0..5 {
            let port = free_port();
            let command = command(binary, port, &etcd, &tls, folder.path());
            let log = folder.path().join(format!("kube-apiserver.{port}.log"));
            let mut server = Server::spawn(command, &log).expect("kube-apiserver starts");
            match wait_ready(&mut server, port, &tls) {
                Ok(()) => {
                    return ApiServer {
                        port,
                        tls,
                        known: Mutex::default(),
                        clients: Mutex::default(),
                        server: Mutex::new(Some(server)),
                        etcd: Mutex::new(Some(etcd)),
                        folder: Mutex::new(Some(folder)),
                    };
                }
                Err(_) if server.lost_its_port() => continue,
                Err(why) => panic!("kube-apiserver: {why}\n{}", server.log_tail()),
            }
        }
        panic!("kube-apiserver: five times its port was taken");
    }

    /// `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file of the CA that signed the server's certificate.
    pub fn ca(&self) -> &Path {
        &self.tls.ca
    }

    pub fn ca_pem(&self) -> String {
        self.tls.ca_pem()
    }

    /// All its certificates. The client's says who somebody is, as a token does: user `ipaudit-client`.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// A kubeconfig file for one of the tokens; it lives as long as the server.
    pub fn kubeconfig(&self, token: &str) -> PathBuf {
        self.kubeconfig_at(&self.url(), token)
    }

    /// A token of the account `ipaudit:ipaudit`, signed with the server's own key, that has expired long ago.
    pub fn expired_token(&self) -> String {
        let folder = self.folder.lock().unwrap();
        expired_token(folder.as_ref().expect("a running API server").path())
    }

    /// The same for another URL, such as a proxy's.
    pub fn kubeconfig_at(&self, url: &str, token: &str) -> PathBuf {
        let folder = self.folder.lock().unwrap();
        let folder = folder.as_ref().expect("a running API server").path();
        let path = folder.join(format!("{}.yaml", super::unique_name("kubeconfig")));
        std::fs::write(&path, kubeconfig_yaml(url, &self.tls, token)).expect("a kubeconfig");
        path
    }

    /// A proxy in front of this server and its URL. TLS goes through it: the
    /// certificate names the address, not the port.
    pub fn behind_proxy(&self) -> (Proxy, String) {
        let proxy = Proxy::start(&format!("127.0.0.1:{}", self.port));
        let url = format!("https://{}", proxy.address());
        (proxy, url)
    }

    /// Its own etcd, where `/registry/` is.
    pub fn with_etcd<T>(&self, work: impl FnOnce(&Etcd) -> T) -> T {
        work(self.etcd.lock().unwrap().as_ref().expect("a running API server"))
    }

    pub fn pid(&self) -> u32 {
        self.server.lock().unwrap().as_ref().expect("a running API server").pid()
    }

    pub fn freeze(&self) {
        let server = self.server.lock().unwrap();
        server.as_ref().expect("a running API server").freeze();
    }

    pub fn thaw(&self) {
        let server = self.server.lock().unwrap();
        server.as_ref().expect("a running API server").thaw();
    }

    /// SIGTERM, SIGKILL after `patience`, then its etcd. What Drop does.
    pub fn shut_down(&self, patience: Duration) {
        let take = |server: &Mutex<Option<Server>>| server.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(mut server) = take(&self.server) {
            server.thaw();
            server.stop(patience);
        }
        self.etcd.lock().unwrap_or_else(|e| e.into_inner()).take();
        self.folder.lock().unwrap_or_else(|e| e.into_inner()).take();
    }

    /// Any request as any user; status and answer (a string if it is no JSON).
    pub fn request(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let content = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", content)
            .body(Body::from(bytes))
            .expect("a request");
        let client = self.client(token);
        block_on(send(&client, request)).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// A kept client of this user.
    pub fn client(&self, token: &str) -> kube::Client {
        let mut clients = self.clients.lock().unwrap();
        clients
            .entry(token.to_owned())
            .or_insert_with(|| {
                let yaml = kubeconfig_yaml(&self.url(), &self.tls, token);
                block_on(connect(&yaml))
            })
            .clone()
    }

    /// As the administrator; panics unless it succeeds.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request(ADMIN, method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}\n{body}");
        answer
    }

    pub fn admin_get(&self, path: &str) -> Value {
        self.admin("GET", path, &Value::Null)
    }

    pub fn admin_post(&self, path: &str, object: &Value) -> Value {
        self.admin("POST", path, object)
    }

    /// Merges `status` into the status of the object at `path`.
    pub fn admin_patch_status(&self, path: &str, status: &Value) -> Value {
        let body = json!({ "status": status });
        self.admin("PATCH", &format!("{path}/status"), &body)
    }

    /// `grace` in seconds; 0 removes a pod at once, otherwise it stays
    /// terminating, because no kubelet finishes it.
    pub fn admin_delete(&self, path: &str, grace: u32) -> Value {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace,
        });
        self.admin("DELETE", path, &options)
    }

    /// ipaudit's ServiceAccount may from now on get and list exactly these
    /// (`pods`, or with their group: `deployments.apps`). Returns when the
    /// authorizer, which learns of it a little later, agrees.
    pub fn grant(&self, resources: &[&str]) {
        let rules: Vec<Value> = resources
            .iter()
            .map(|resource| {
                let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
                json!({ "apiGroups": [group], "resources": [name], "verbs": ["get", "list"] })
            })
            .collect();
        self.put_rbac("clusterroles", json!({ "kind": "ClusterRole", "rules": rules }));
        let subject = json!({
            "kind": "ServiceAccount", "namespace": "ipaudit", "name": "ipaudit",
        });
        let role = json!({
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ipaudit",
        });
        self.put_rbac(
            "clusterrolebindings",
            json!({ "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject] }),
        );
        let mut known = self.known.lock().unwrap();
        known.extend(resources.iter().map(|r| (*r).to_owned()));
        for resource in known.iter() {
            let wanted = resources.contains(&resource.as_str());
            eventually("RBAC follows the grant", Duration::from_secs(30), || self.may_list(resource) == wanted);
        }
    }

    fn put_rbac(&self, kind: &str, mut object: Value) {
        object["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
        object["metadata"] = json!({ "name": "ipaudit" });
        let path = format!("{RBAC}/{kind}/ipaudit");
        match self.request(ADMIN, "GET", &path, &Value::Null).0 {
            404 => self.admin_post(&format!("{RBAC}/{kind}"), &object),
            _ => self.admin("PUT", &path, &object),
        };
    }

    fn may_list(&self, resource: &str) -> bool {
        let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
        let attributes = json!({ "verb": "list", "group": group, "resource": name });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": { "user": IPAUDIT_USER, "resourceAttributes": attributes },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        self.admin_post(path, &review)["status"]["allowed"] == json!(true)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shut_down(Duration::from_secs(3));
    }
}

fn kubeconfig_yaml(url: &str, tls: &Tls, token: &str) -> String {
    // JSON is YAML.
    let ca = tls.ca.display().to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": { "server": url, "certificate-authority": ca } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "current-context": "test",
    })
    .to_string()
}

async fn connect(yaml: &str) -> kube::Client {
    let file = Kubeconfig::from_yaml(yaml).expect("our kubeconfig");
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.expect("our kubeconfig");
    // From HTTPS_PROXY, which is not meant for loopback.
    config.proxy_url = None;
    kube::Client::try_from(config).expect("a client")
}

async fn send(client: &kube::Client, request: Request<Body>) -> Result<(u16, Value), kube::Error> {
    let answer = client.send(request).await?;
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await?.to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    Ok((status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())))
}

/// Only a server with our certificate's key can answer, so it is our child.
fn wait_ready(server: &mut Server, port: u16, tls: &Tls) -> Result<(), String> {
    let yaml = kubeconfig_yaml(&format!("https://127.0.0.1:{port}"), tls, ADMIN);
    let client = block_on(connect(&yaml));
    let mut last = String::new();
    let ready = poll(READY_WITHIN, || {
        if let Some(status) = server.exited() {
            return Some(Err(format!("it ended: {status}")));
        }
        let get = |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            block_on(send(&client, request)).map_err(|e| e.to_string())
        };
        // The Service and its namespace are made after /readyz says ok.
        for path in ["/readyz", "/api/v1/namespaces/kube-system", "/api/v1/namespaces/default/services/kubernetes"] {
            match get(path) {
                Ok((200, _)) => {}
                other => {
                    last = format!("{path}: {other:?}");
                    return None;
                }
            }
        }
        Some(Ok(()))
    });
    ready.unwrap_or_else(|| Err(format!("not ready: {last}")))
}
