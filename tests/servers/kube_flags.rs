//! The flags and files that a kube-apiserver without a cluster wants.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::etcd::Etcd;
use super::kube_users::{ADMIN, ALICE, IPAUDIT, IPAUDIT_USER};
use super::tls::Tls;

/// The command line. Everything it names is in `folder`.
pub fn command(binary: &Path, port: u16, etcd: &Etcd, tls: &Tls, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    let mut flag = |name: &str, value: &std::ffi::OsStr| {
        let mut flag = std::ffi::OsString::from(format!("--{name}="));
        flag.push(value);
        command.arg(flag);
    };
    let key = folder.join("service-account.key");
    flag("etcd-servers", etcd.endpoint().as_ref());
    flag("secure-port", port.to_string().as_ref());
    flag("bind-address", "127.0.0.1".as_ref());
    // It looks for a default route otherwise, which a sandbox may lack; with no
    // endpoint reconciler nobody uses the address (RFC 5737's example net).
    flag("advertise-address", "192.0.2.1".as_ref());
    flag("endpoint-reconciler-type", "none".as_ref());
    flag("cert-dir", folder.join("certs").as_ref());
    flag("tls-cert-file", tls.server.cert.as_ref());
    flag("tls-private-key-file", tls.server.key.as_ref());
    flag("service-account-issuer", "https://kubernetes.default.svc".as_ref());
    flag("service-account-key-file", folder.join("service-account.pub").as_ref());
    flag("service-account-signing-key-file", key.as_ref());
    flag("authorization-mode", "RBAC".as_ref());
    flag("token-auth-file", folder.join("tokens.csv").as_ref());
    flag("client-ca-file", tls.ca.as_ref());
    flag("service-cluster-ip-range", "10.96.0.0/16,fd00:96::/112".as_ref());
    // As every real cluster has it: what refuses a privileged pod is Pod Security, not the server's own default.
    flag("allow-privileged", "true".as_ref());
    // Without controllers there are no ServiceAccounts and nobody removes taints.
    let plugins = "ServiceAccount,TaintNodesByCondition,Priority";
    flag("disable-admission-plugins", plugins.as_ref());
    command
}

/// The token file and the keys of service accounts.
pub fn write_users(folder: &Path) {
    let users = format!(
        "{ADMIN},admin,1,\"system:masters\"\n\
         {IPAUDIT},{IPAUDIT_USER},2,\"system:serviceaccounts,system:serviceaccounts:ipaudit\"\n\
         {ALICE},alice,3\n"
    );
    std::fs::write(folder.join("tokens.csv"), users).expect("the token file");
    let key = rcgen::KeyPair::generate().expect("a key");
    let write = |name: &str, pem: String| {
        std::fs::write(folder.join(name), pem).expect("a key of service accounts");
    };
    write("service-account.key", key.serialize_pem());
    write("service-account.pub", key.public_key_pem());
}

/// A token of a service account, signed with the key that [`write_users`] made (ES256), that has expired long ago.
pub fn expired_token(folder: &Path) -> String {
    use base64::Engine;
    use rcgen::SigningKey;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let account = json!({ "namespace": "ipaudit", "serviceaccount": { "name": "ipaudit", "uid": "1" } });
    let issuer = "https://kubernetes.default.svc";
    let claims = json!({
        "iss": issuer, "aud": [issuer], "sub": IPAUDIT_USER, "iat": 1_600_000_000, "nbf": 1_600_000_000,
        "exp": 1_600_003_600, "kubernetes.io": account,
    });
    let signed = format!("{}.{}", encode(br#"{"alg":"ES256"}"#), encode(claims.to_string().as_bytes()));
    let pem = std::fs::read_to_string(folder.join("service-account.key")).expect("the key of service accounts");
    let key = rcgen::KeyPair::from_pem(&pem).expect("a key");
    let signature = key.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", encode(&fixed(&signature)))
}

/// An ECDSA signature as JWTs have it: its two numbers, 32 bytes each. It comes in DER: a sequence of two integers.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(32)..];
        numbers.extend(std::iter::repeat_n(0, 32 - number.len()).chain(number.iter().copied()));
        rest = after;
    }
    numbers
}
