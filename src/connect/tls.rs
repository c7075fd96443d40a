//! Certificates for etcd: from files or from text, checked early so that the error names the file.

use std::path::PathBuf;

use etcd_client::{Certificate, Identity, TlsOptions};
use rustls::RootCertStore;
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

use super::common_name;
use super::settings::{EtcdSettings, Source, read_text};
use crate::environment;
use crate::error::Error;

/// What https endpoints need.
#[derive(Default)]
pub struct EtcdTls {
    pub options: TlsOptions,
    /// No CA was given and this machine has none: no server will be believed.
    pub trusts_nobody: bool,
    /// Of the client certificate: the user, where etcd asks for one and nobody logs in.
    pub common_name: Option<String>,
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
            let found = of_this_machine();
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
        tls.common_name = common_name::of(&cert);
        tls.options = tls.options.identity(Identity::from_pem(cert, key));
    }
    Ok(tls)
}

/// The CAs of this machine. rustls-native-certs takes a `SSL_CERT_FILE` that is set and empty for the name of a file.
fn of_this_machine() -> CertificateResult {
    let found = rustls_native_certs::load_native_certs();
    let variables = [openssl_probe::ENV_CERT_FILE, openssl_probe::ENV_CERT_DIR];
    if !found.certs.is_empty() || variables.into_iter().any(|name| environment::value(name).is_some()) {
        return found;
    }
    let usual = openssl_probe::probe();
    load_certs_from_paths(usual.cert_file.as_deref(), usual.cert_dir.first().map(PathBuf::as_path))
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
