//! Ways in which an [`Etcd`] is there and refuses: full, said to be corrupt, a learner, behind etcd's own proxy; and an
//! endpoint that drops what is sent to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, MemberAddOptions};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::etcd::Etcd;
use super::process::{Server, etcd_command};
use super::tls::Identity;
use super::{block_on, free_port, poll, unique_name};

impl Etcd {
    /// Writes until etcd raises NOSPACE; start it with a small [`super::etcd::EtcdBuilder::quota`].
    pub fn fill_up(&self) {
        let filler = vec![b'x'; 200_000];
        for i in 0..200 {
            let put = block_on(self.client().put(format!("/filler/{i}"), filler.clone(), None));
            match put {
                Ok(_) => {}
                Err(e) if e.to_string().contains("database space exceeded") => return,
                Err(e) => panic!("not the refusal of a full etcd: {e}"),
            }
        }
        panic!("etcd never was full: was it started with a quota?");
    }

    /// Raises CORRUPT for its own member, as a check of its data would.
    pub fn declare_corrupt(&self) {
        let status = block_on(self.client().status()).expect("status");
        let member = status.header().expect("a header").member_id();
        let mut of_it = AlarmOptions::new();
        of_it.with_member(member);
        block_on(self.client().alarm(AlarmAction::Activate, AlarmType::Corrupt, Some(of_it))).expect("an alarm");
    }

    /// The member's own name.
    pub fn member_name(&self) -> &str {
        &self.name
    }

    /// The folder with etcdctl of this etcd's version, for a PATH.
    pub fn tools(&self) -> PathBuf {
        self.version.binaries().etcdctl.parent().expect("a folder").to_path_buf()
    }

    /// A second member that only learns and has caught up.
    pub fn add_learner(&self) -> Etcd {
        let mut learner = Etcd::builder(self.version).prepared();
        let option = MemberAddOptions::new().with_is_learner();
        block_on(self.client().member_add([learner.peer_url()], Some(option))).expect("a learner is added");
        learner.follow(self);
        let ready = || {
            let status = block_on(learner.connect().ok()?.status()).ok()?;
            (status.is_learner() && status.raft_applied_index() > 0).then_some(())
        };
        poll(Duration::from_secs(60), ready).expect("the learner answers for itself");
        learner
    }

    /// `etcd grpc-proxy` in front of it: the process, and the endpoint.
    pub fn behind_grpc_proxy(&self) -> (Server, String) {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = etcd_command(&self.version.binaries().etcd);
        command.args(["grpc-proxy", "start"]).arg(format!("--endpoints={}", self.endpoint()));
        command.arg(format!("--listen-addr={address}"));
        let proxy = Server::spawn(command, &self.folder.path().join(unique_name("proxy"))).expect("a proxy starts");
        poll(Duration::from_secs(30), || TcpStream::connect(&address).ok()).expect("the proxy listens");
        (proxy, format!("http://{address}"))
    }
}

/// An endpoint to which packets get lost: the system's queue of connections to it is full, and nobody takes any out.
pub struct Dropping {
    pub endpoint: String,
    _listener: std::net::TcpListener,
    _queue: Mutex<Vec<TcpStream>>,
}

impl Dropping {
    pub fn new() -> Dropping {
        let listener = block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a loopback port");
            socket.listen(1).expect("it listens").into_std().expect("a plain socket")
        });
        let address = listener.local_addr().expect("its address");
        let mut queue = Vec::new();
        // A connection that nobody answers any more is the proof that the queue is full.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queue.push(stream);
            assert!(queue.len() < 100, "the queue never fills");
        }
        Dropping { endpoint: format!("http://{address}"), _listener: listener, _queue: Mutex::new(queue) }
    }
}

/// Something that speaks HTTP/2 and is no etcd, as a proxy, an ingress or the API server: it answers everything with a
/// bare status.
pub struct NotEtcd {
    pub endpoint: String,
}

impl NotEtcd {
    /// `status` is 404 or 500 (other ones are no single byte in HTTP/2).
    pub fn new(status: u16) -> NotEtcd {
        let status = if status == 404 { 0x8d } else { 0x8e };
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer_all(stream, status));
            }
        });
        NotEtcd { endpoint }
    }
}

/// TLS that anybody believes who has the CA, and HTTP/1 in it, as a web server's; or the end of every connection.
pub struct WebServer {
    pub endpoint: String,
}

impl WebServer {
    pub fn over_tls(identity: &Identity) -> WebServer {
        let certificate = CertificateDer::from_pem_slice(identity.cert_pem().as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into());
        let config = config.with_safe_default_protocol_versions().expect("versions of TLS").with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![certificate], key).expect("a pair"));
        WebServer::start("https", move |stream| {
            let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).ok()?, stream);
            tls.read_exact(&mut [0]).ok()?;
            tls.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").ok()
        })
    }

    /// It takes every connection and ends it.
    pub fn closing(scheme: &str) -> WebServer {
        WebServer::start(scheme, |stream| {
            drop(stream);
            Some(())
        })
    }

    fn start(scheme: &str, serve: impl Fn(TcpStream) -> Option<()> + Send + 'static) -> WebServer {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let endpoint = format!("{scheme}://{}", listener.local_addr().expect("its address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whether the client stayed to the end is its own affair.
                let _ = serve(stream);
            }
        });
        WebServer { endpoint }
    }
}

/// RFC 9113: the preface, then frames of 3 bytes of length, type, flags, 4 bytes of stream. Ends with the connection.
fn answer_all(mut stream: TcpStream, status: u8) -> Option<()> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; 24]).ok()?;
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        stream.read_exact(&mut payload).ok()?;
        match kind {
            SETTINGS if flags & 1 == 0 => stream.write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]).ok()?,
            // Headers and body in one: the end of both.
            HEADERS => stream.write_all(&[&[0, 0, 1, HEADERS, 5][..], &id, &[status]].concat()).ok()?,
            _ => {}
        }
    }
}
