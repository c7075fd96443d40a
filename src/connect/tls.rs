//! Certificates for etcd: from files or from text, checked early so that the error names the file.

use etcd_client::{Certificate, Identity, TlsOptions};

use super::settings::{EtcdSettings, Source, read_text};
use crate::error::Error;

/// Where systems keep the CAs they trust; used for https when no CA was given, as Go's clients do.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The TLS options for https endpoints.
///
/// # Errors
/// A file that cannot be read or does not hold what it should.
pub fn options(settings: &EtcdSettings) -> Result<TlsOptions, Error> {
    let mut tls = TlsOptions::new();
    let ca = match &settings.ca_cert {
        Some(source) => Some(read_pem(source, "etcd's CA certificate", "CERTIFICATE")?),
        None => SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok()),
    };
    if let Some(ca) = ca {
        tls = tls.ca_certificate(Certificate::from_pem(ca));
    }
    if let (Some(cert), Some(key)) = (&settings.cert, &settings.key) {
        let cert = read_pem(cert, "the etcd client certificate", "CERTIFICATE")?;
        let key = read_pem(key, "the etcd client key", "PRIVATE KEY")?;
        tls = tls.identity(Identity::from_pem(cert, key));
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
        return Err(Error::new(format!("use {what}: it is encrypted")).at(at).hint(hint));
    }
    if !text.lines().any(|line| begins(line.trim_start())) {
        let hint = "expected PEM text";
        return Err(Error::new(format!("use {what}: it holds no {}", label.to_lowercase())).at(at).hint(hint));
    }
    Ok(text)
}
