//! What a kubelet answers an API server that is asked for a container's log, and what it was asked to run.
//!
//! HTTP/1.1 over TLS, one request a connection. It runs nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::tls::Tls;

pub struct Kubelet {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What is in the log that a path asks for; `None`: not found.
type Logs = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Kubelet {
    /// `logs`: what is in the log of `/containerLogs/NAMESPACE/POD/CONTAINER?…`; everything else is not implemented.
    pub fn start(tls: &Tls, logs: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Kubelet {
        let logs: Arc<Logs> = Arc::new(logs);
        let certificates = CertificateDer::pem_file_iter(&tls.server.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&tls.server.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(certificates, key).unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, kept, logs) = (config.clone(), kept.clone(), logs.clone());
                std::thread::spawn(move || {
                    let session = rustls::ServerConnection::new(config).unwrap();
                    serve(rustls::StreamOwned::new(session, stream), &kept, &*logs)
                });
            }
        });
        Kubelet { port, asked }
    }

    /// The paths of all requests since the last time, with what they ask to run.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(mut stream: impl Read + Write, asked: &Mutex<Vec<String>>, logs: &Logs) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let (status, body) = match path.starts_with("/containerLogs/").then(|| logs(&path)) {
        Some(Some(log)) => ("200 OK", log),
        Some(None) => ("404 Not Found", "no such container\n".to_owned()),
        None => ("501 Not Implemented", "this kubelet runs nothing\n".to_owned()),
    };
    asked.lock().unwrap().push(path);
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all((answer + &body).as_bytes()).and_then(|()| stream.flush()).ok()
}
