//! Kubernetes behind a proxy: who is asked for a tunnel and who is not, what the proxy gets to see, and what is told when
//! it refuses, is gone or says nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipaudit::connect::kube::{KubeSettings, Surroundings, connect};
use ipaudit::connect::proxy::ProxyVariables;
use ipaudit::error::{Error, chain};
use ipaudit::source::kube_api::{Failure, KubeApi, Patience};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use servers::tls::Tls;

/// Bytes that somebody saw.
type Seen = Arc<Mutex<Vec<u8>>>;

fn text(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.lock().unwrap()).into_owned()
}

/// Listens; each connection has a thread of its own.
fn listen(serve: impl Fn(TcpStream) -> Option<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads up to the blank line.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Answers every request with an empty list.
fn answer(mut stream: impl Read + Write, seen: &Seen) -> Option<()> {
    loop {
        let head = head(&mut stream)?;
        seen.lock().unwrap().extend_from_slice(head.as_bytes());
        let body = r#"{"kind":"NamespaceList","apiVersion":"v1","metadata":{},"items":[]}"#;
        let length = body.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).ok()?;
    }
}

fn tls_config(tls: &Tls) -> Arc<rustls::ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(&tls.server.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&tls.server.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(certificates, key).unwrap())
}

fn accept(stream: TcpStream, config: &Arc<rustls::ServerConfig>) -> impl Read + Write + use<> {
    rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream)
}

/// An API server: its port, and what it was asked.
fn api_server(tls: Option<&Tls>) -> (String, Seen) {
    let (seen, config) = (Seen::default(), tls.map(tls_config));
    let kept = seen.clone();
    let address = listen(move |stream| match &config {
        Some(config) => answer(accept(stream, config), &kept),
        None => answer(stream, &kept),
    });
    (address.rsplit_once(':').unwrap().1.to_owned(), seen)
}

/// What a proxy does about a CONNECT.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Whatever was asked for, the way leads to this port of loopback.
    Lead(u16),
    Refuse(&'static str),
    HangUp,
    Silence,
}

struct Connect {
    address: String,
    /// The heads of the CONNECTs.
    asked: Seen,
    /// What went through the tunnels towards the server.
    passed: Seen,
}

impl Connect {
    fn start(manner: Manner) -> Connect {
        let (asked, passed) = (Seen::default(), Seen::default());
        let (heads, bytes) = (asked.clone(), passed.clone());
        let address = listen(move |mut stream| {
            let head = head(&mut stream)?;
            heads.lock().unwrap().extend_from_slice(head.as_bytes());
            match manner {
                Manner::Lead(port) => {
                    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
                    pump(stream, port, &bytes)
                }
                Manner::Refuse(status) => {
                    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()
                }
                Manner::HangUp => None,
                Manner::Silence => stream.read(&mut [0]).ok().map(|_| ()),
            }
        });
        Connect { address, asked, passed }
    }

    fn tunnels(&self) -> usize {
        text(&self.asked).matches("CONNECT ").count()
    }
}

/// Both ways until one end is gone.
fn pump(client: TcpStream, port: u16, passed: &Seen) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let (mut from, mut to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to, mut piece) = (client, server, [0; 4096]);
    loop {
        let read = from.read(&mut piece).ok().filter(|read| *read > 0);
        let Some(read) = read else { return to.shutdown(Shutdown::Both).ok() };
        passed.lock().unwrap().extend_from_slice(&piece[..read]);
        to.write_all(&piece[..read]).ok()?;
    }
}

/// TLS before a port of loopback, for a proxy of https.
fn tls_before(tls: &Tls, port: u16) -> String {
    let config = tls_config(tls);
    listen(move |stream| {
        let mut behind = TcpStream::connect(("127.0.0.1", port)).ok()?;
        // Nothing tells when either side has something: each is asked in turn, for a moment.
        for side in [&stream, &behind] {
            side.set_read_timeout(Some(Duration::from_millis(2))).ok()?;
        }
        let mut before = accept(stream, &config);
        let waits = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        fn carry(from: &mut impl Read, to: &mut impl Write, waits: impl Fn(&std::io::Error) -> bool) -> Option<()> {
            let mut piece = [0; 4096];
            match from.read(&mut piece) {
                Ok(0) => None,
                Ok(read) => to.write_all(&piece[..read]).and_then(|()| to.flush()).ok(),
                Err(error) => waits(&error).then_some(()),
            }
        }
        loop {
            carry(&mut before, &mut behind, waits)?;
            carry(&mut behind, &mut before, waits)?;
        }
    })
}

/// A SOCKS proxy that wants `me` and `hunter:2`.
fn socks(port: u16, asked: Seen) -> String {
    listen(move |mut stream| {
        let exactly = |count: usize, stream: &mut TcpStream| {
            let mut bytes = vec![0; count];
            stream.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        let methods = exactly(2, &mut stream)?[1];
        exactly(methods.into(), &mut stream)?;
        stream.write_all(&[5, 2]).ok()?;
        assert_eq!(exactly(13, &mut stream)?, b"\x01\x02me\x08hunter:2");
        stream.write_all(&[1, 0]).ok()?;
        let head = exactly(5, &mut stream)?;
        assert_eq!(head[..4], [5, 1, 0, 3], "a name, for the proxy to look up");
        let name = exactly(usize::from(head[4]) + 2, &mut stream)?;
        let (name, port_of_server) = name.split_at(name.len() - 2);
        assert_eq!(port_of_server, [0, 80]);
        asked.lock().unwrap().extend_from_slice(name);
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        pump(stream, port, &Seen::default())
    })
}

struct Place {
    folder: tempfile::TempDir,
    timeout: Duration,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap(), timeout: Duration::from_secs(30) }
    }

    fn tls(&self) -> Tls {
        Tls::create(self.folder.path())
    }

    fn kubeconfig(&self, server: &str, ca: Option<&Path>, proxy: Option<&str>) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority": ca, "proxy-url": proxy } }],
            "users": [{ "name": "me", "user": { "token": "very-secret" } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "me" } }],
        });
        let file = self.folder.path().join("config");
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    async fn open(&self, kubeconfig: PathBuf, variables: &[(&str, &str)]) -> Result<KubeApi, Error> {
        let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into());
        let around = Surroundings { proxies: ProxyVariables::read(&env), ..Surroundings::default() };
        let settings = KubeSettings { kubeconfig: Some(kubeconfig), timeout: self.timeout, ..KubeSettings::default() };
        let client = connect(&settings, &around).await?.unwrap();
        let patience =
            Patience { attempts: 2, first_wait: Duration::from_millis(1), ..Patience::with_timeout(self.timeout) };
        Ok(KubeApi::new(client, patience))
    }

    async fn ask(&self, kubeconfig: PathBuf, variables: &[(&str, &str)]) -> Result<(), String> {
        let api = self.open(kubeconfig, variables).await.map_err(|error| chain(&error))?;
        match api.get("/api/v1/namespaces?limit=1", api.deadline()).await {
            Ok(_) => Ok(()),
            Err(failure @ Failure::Unreachable { .. }) => Err(failure.sentence()),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_proxy_sees_where_to_and_its_own_password_and_no_token() {
    let place = Place::new();
    let tls = place.tls();
    let (port, seen) = api_server(Some(&tls));
    let proxy = Connect::start(Manner::Lead(port.parse().unwrap()));
    let url = format!("http://me:hunter%3A2@{}", proxy.address);
    let config = place.kubeconfig(&format!("https://localhost:{port}"), Some(&tls.ca), Some(&url));
    // What the kubeconfig says goes before the environment, for loopback too.
    let api = place.open(config, &[("NO_PROXY", "*"), ("HTTPS_PROXY", "http://127.0.0.1:1")]).await.unwrap();
    for _ in 0..3 {
        api.get("/api/v1/namespaces", api.deadline()).await.unwrap();
    }
    let asked = text(&proxy.asked);
    assert_eq!(proxy.tunnels(), 1, "{asked}");
    assert!(asked.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{asked}");
    assert!(asked.contains(&format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode("me:hunter:2"))), "{asked}");
    assert!(!asked.contains("very-secret") && !text(&proxy.passed).contains("very-secret"), "{asked}");
    let seen = text(&seen).to_ascii_lowercase();
    assert!(seen.contains("authorization: bearer very-secret"), "{seen}");
    assert!(!seen.contains("proxy-"), "{seen}");
    assert_eq!(api.server, format!("https://localhost:{port}"));
}

/// `0.0.0.0` leads to this machine and is not called loopback.
#[tokio::test]
async fn no_proxy_counts_with_its_port_and_the_server_not_the_proxy() {
    let place = Place::new();
    let (port, _) = api_server(None);
    let proxy = Connect::start(Manner::Lead(port.parse().unwrap()));
    let url = format!("http://{}", proxy.address);
    let there = format!("http://0.0.0.0:{port}");
    let mut tunnels = 0;
    for (exempt, through) in [
        (format!("0.0.0.0:{port}"), false),
        ("0.0.0.0:1".to_owned(), true),
        ("a,, 0.0.0.0/8".to_owned(), false),
        (format!("127.0.0.0/8, {}", proxy.address), true),
        (String::new(), true),
    ] {
        let config = place.kubeconfig(&there, None, None);
        let variables = [("http_proxy", url.as_str()), ("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", &exempt)];
        place.ask(config, &variables).await.unwrap();
        tunnels += usize::from(through);
        assert_eq!(proxy.tunnels(), tunnels, "{exempt}");
    }
    // This machine is never behind a proxy of the environment.
    let config = place.kubeconfig(&format!("http://127.0.0.1:{port}"), None, None);
    place.ask(config, &[("ALL_PROXY", &url)]).await.unwrap();
    assert_eq!(proxy.tunnels(), tunnels);
}

#[tokio::test]
async fn a_proxy_that_does_not_let_through_is_named_without_its_password() {
    let place = Place::new();
    for (manner, hint, tunnels) in [
        (Manner::Refuse("407 Proxy Authentication Required"), "the proxy wants a user and a password", 1),
        (Manner::Refuse("403 Forbidden"), "does not let us through", 2),
        (Manner::Refuse("503 Service Unavailable"), "does not let us through", 2),
        (Manner::HangUp, "is the proxy up", 2),
    ] {
        let proxy = Connect::start(manner);
        let url = format!("http://me:hunter2@{}", proxy.address);
        let config = place.kubeconfig("https://api.example:6443", None, None);
        let told = place.ask(config, &[("HTTPS_PROXY", &url)]).await.unwrap_err();
        let named = format!("https://api.example:6443 through the proxy http://{} (HTTPS_PROXY)", proxy.address);
        assert!(told.contains(&named) && told.contains(hint), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("very-secret"), "{told}");
        assert_eq!(proxy.tunnels(), tunnels, "{told}");
    }
}

#[tokio::test]
async fn a_dead_proxy_is_told_from_a_dead_server() {
    let place = Place::new();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = place.kubeconfig("https://api.example:6443", None, Some(&format!("http://me:hunter2@{dead}")));
    let told = place.ask(config, &[]).await.unwrap_err();
    let named = format!("through the proxy http://{dead} (proxy-url in the kubeconfig)");
    assert!(told.contains(&named) && told.contains("Connection refused") && told.contains("is the proxy up"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_waited_for_no_longer_than_a_server() {
    let place = Place { timeout: Duration::from_millis(300), ..Place::new() };
    let proxy = Connect::start(Manner::Silence);
    let config = place.kubeconfig("https://api.example:6443", None, Some(&proxy.address));
    let began = Instant::now();
    let told = place.ask(config, &[]).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(told.contains(&proxy.address) && told.contains("did not answer within"), "{told}");
    assert_eq!(proxy.tunnels(), 2);
}

#[tokio::test]
async fn a_proxy_of_https_is_believed_by_the_kubeconfigs_ca() {
    let place = Place::new();
    let tls = place.tls();
    let (port, _) = api_server(Some(&tls));
    let proxy = Connect::start(Manner::Lead(port.parse().unwrap()));
    let before = tls_before(&tls, proxy.address.rsplit_once(':').unwrap().1.parse().unwrap());
    let (server, url) = (format!("https://localhost:{port}"), format!("https://{before}"));
    place.ask(place.kubeconfig(&server, Some(&tls.ca), Some(&url)), &[]).await.unwrap();
    assert_eq!(proxy.tunnels(), 1);
    let told = place.ask(place.kubeconfig(&server, Some(&tls.other_ca), Some(&url)), &[]).await.unwrap_err();
    assert!(told.contains(&url) && told.contains("the proxy's certificate"), "{told}");
    // The server's own certificate is told as the server's.
    let url = format!("http://{}", proxy.address);
    let told = place.ask(place.kubeconfig(&server, Some(&tls.other_ca), Some(&url)), &[]).await.unwrap_err();
    assert!(told.contains(&url) && told.contains("the server's certificate"), "{told}");
}

#[tokio::test]
async fn a_proxy_of_socks_looks_the_name_up() {
    let place = Place::new();
    let (port, _) = api_server(None);
    let asked = Seen::default();
    let address = socks(port.parse().unwrap(), asked.clone());
    let config = place.kubeconfig("http://api.example", None, None);
    place.ask(config, &[("ALL_PROXY", &format!("socks5h://me:hunter%3A2@{address}"))]).await.unwrap();
    assert_eq!(text(&asked), "api.example");
}

#[tokio::test]
async fn what_is_no_proxy_is_refused_before_anything_is_asked() {
    let place = Place::new();
    let config = place.kubeconfig("https://api.example:6443", None, Some("ftp://me:hunter2@proxy.example"));
    let error = place.open(config.clone(), &[]).await.map(|_| ()).unwrap_err();
    let told = format!("{} {error:?}", chain(&error));
    assert!(told.contains("proxy-url in the kubeconfig") && !told.contains("hunter2"), "{told}");
    // Nobody goes there, so nobody looks at it.
    let (port, _) = api_server(None);
    let config = place.kubeconfig(&format!("http://127.0.0.1:{port}"), None, None);
    place.ask(config, &[("HTTP_PROXY", "ftp://nothing"), ("HTTPS_PROXY", "not a URL")]).await.unwrap();
}
