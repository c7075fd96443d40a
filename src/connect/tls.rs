//! Certificates for etcd: from files or from text, checked early so that the error names the file.

use etcd_client::{Certificate, Identity, TlsOptions};
use rustls::RootCertStore;

use super::settings::{EtcdSettings, Source, read_text};
use crate::error::Error;

/// What https endpoints need.
#[derive(Default)]
pub struct EtcdTls {
    pub options: TlsOptions,
    /// No CA was given and this machine has none: no server will be believed.
    pub trusts_nobody: bool,
}

/// The TLS options for https endpoints. Without a CA of its own etcd is believed by those of this machine, as by Go's
/// clients; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. That there are none is no error yet: the handshake's will
/// say so.
///
/// # Errors
/// A file that was named and cannot be read or does not hold what it should.
pub fn options(settings: &EtcdSettings) -> Result<EtcdTls, Error> {
    let mut tls = EtcdTls::default();
    tls.options = match &settings.ca_cert {
        Some(source) => {
            let ca = read_pem(source, "etcd's CA certificate", "CERTIFICATE")?;
            tls.options.ca_certificate(Certificate::from_pem(ca))
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            found.errors.iter().for_each(|error| tracing::debug!(%error, "a certificate of this machine"));
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(found.certs);
            tls.trusts_nobody = store.is_empty();
            tls.options.trust_anchors(store.roots)
        }
    };
    if let (Some(cert), Some(key)) = (&settings.cert, &settings.key) {
        let cert = read_pem(cert, "the etcd client certificate", "CERTIFICATE")?;
        let key = read_pem(key, "the etcd client key", "PRIVATE KEY")?;
        tls.options = tls.options.identity(Identity::from_pem(cert, key));
    }
    Ok(tls)
}

fn read_pem(source: &Source, what: &str, label: &str) -> Result<String, Error> {
    let text = read_text(source, what)?;
    let at = match source {
        Source::File(path) => path.to_string_lossy().into_owned(),
        Source::Inline(_) => "given inline".to_owned(),
    };
    let begins = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{label}-----"));
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        let hint = "etcd's clients take keys without a passphrase only: openssl pkey -in KEY -out PLAIN";
        return Err(Error::configuration(format!("use {what}: it is encrypted")).at(at).hint(hint));
    }
    if !text.lines().any(|line| begins(line.trim_start())) {
        let hint = "expected PEM text";
        return Err(Error::configuration(format!("use {what}: it holds no {}", label.to_lowercase()))
            .at(at)
            .hint(hint));
    }
    Ok(text)
}
