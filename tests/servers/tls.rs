//! Certificates for one server: a CA, a server certificate for 127.0.0.1 and
//! localhost, a client certificate, and a second CA that has nothing to do with
//! the first, with a client certificate of its own, for tests of refusals.
//!
//! All are made in memory and written as PEM files, because that is what the
//! servers and ipaudit take. The keys are for loopback and live a test long.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Identity {
    pub fn cert_pem(&self) -> String {
        read(&self.cert)
    }

    pub fn key_pem(&self) -> String {
        read(&self.key)
    }
}

/// Everything a TLS test needs, as files in one folder.
#[derive(Debug, Clone)]
pub struct Tls {
    pub ca: PathBuf,
    pub server: Identity,
    /// Signed by `ca`, common name `ipaudit-client`.
    pub client: Identity,
    /// An unrelated CA: it vouches for nothing here.
    pub other_ca: PathBuf,
    /// Signed by `other_ca`: the server must refuse it.
    pub other_client: Identity,
}

impl Tls {
    /// Makes all of them in `folder`.
    pub fn create(folder: &Path) -> Tls {
        std::fs::create_dir_all(folder).expect("a folder for certificates");
        let ca = Authority::create("ipaudit test CA");
        let other = Authority::create("unrelated CA");
        Tls {
            ca: write(folder, "ca.crt", &ca.pem),
            server: ca.sign(folder, "server", &["127.0.0.1", "localhost"]),
            client: ca.sign(folder, "ipaudit-client", &[]),
            other_ca: write(folder, "other-ca.crt", &other.pem),
            other_client: other.sign(folder, "other-client", &[]),
        }
    }

    pub fn ca_pem(&self) -> String {
        read(&self.ca)
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn create(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a CA").pem();
        Authority {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    fn sign(&self, folder: &Path, name: &str, hosts: &[&str]) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("subject names");
        params.distinguished_name.push(DnType::CommonName, name);
        // Both usages: etcd's JSON gateway dials etcd with the server's own.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            cert: write(folder, &format!("{name}.crt"), &cert.pem()),
            key: write(folder, &format!("{name}.key"), &key.serialize_pem()),
        }
    }
}

fn write(folder: &Path, name: &str, pem: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, pem).expect("a PEM file");
    path
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a PEM file")
}
