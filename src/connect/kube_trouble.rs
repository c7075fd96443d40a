//! What goes wrong on the way to Kubernetes, said so that a person can act on it, and without secrets.
//!
//! The kube crate's own texts may hold secrets: a kubeconfig that does not parse is quoted, a credential
//! plugin that fails is shown with its environment and its output. Those are replaced here.

use std::error::Error as StdError;

use kube::client::AuthError;
use kube::config::{InClusterError, KubeconfigError};

use super::unreached::unreached;
use crate::error::{Error, chain};

/// What to do when the API server does not know us.
pub const WHO_ARE_WE: &str = "has the token expired?";

/// What to do about a right to read that is missing.
pub const MISSING_RIGHT: &str = "the account needs get and list on pods, nodes, services and namespaces";

/// What to do when nobody gave Kubernetes.
pub const NOT_GIVEN: &str = "give one: --kubeconfig, KUBECONFIG, or --kube-objects";

/// What is wrong with a kubeconfig.
pub fn kubeconfig(error: &KubeconfigError, file: String, named_by: &str) -> Error {
    let (cause, hint) = match error {
        KubeconfigError::ReadConfig(cause, _) => (cause.to_string(), format!("it was named by {named_by}")),
        // The parser quotes the lines around the error, tokens and all.
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|at| format!(", line {}, column {}", at.line(), at.column()));
            (format!("it is not a kubeconfig in YAML{}", place.unwrap_or_default()), "kubectl config view".to_owned())
        }
        KubeconfigError::LoadClientCertificate(_)
        | KubeconfigError::LoadClientKey(_)
        | KubeconfigError::LoadCertificateAuthority(_) => {
            (chain(error), "paths in a kubeconfig are relative to its own folder".to_owned())
        }
        other => (chain(other), "kubectl config view".to_owned()),
    };
    Error::configuration("read the kubeconfig").at(file).cause(cause).hint(hint)
}

/// A context that is not there, or none where one is needed.
pub fn context(wanted: Option<&str>, known: &[String], file: String) -> Error {
    let error = Error::configuration("find a context in the kubeconfig").at(file);
    let error = match wanted.filter(|name| !name.is_empty()) {
        Some(name) => error.cause(format!("there is no context {name:?}")),
        None => error.cause("it has no current context"),
    };
    let names = known.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    error.hint(if names.is_empty() { "it has no contexts at all".to_owned() } else { format!("--context: {names}") })
}

/// What is wrong with the account of our pod.
pub fn in_cluster(error: &InClusterError) -> Error {
    Error::configuration("use the pod's own account")
        .cause(chain(error))
        .hint("is automountServiceAccountToken off? --kubeconfig names another way")
}

/// A request that got no answer, or a client that could not be made. `way` is the server, and the proxy before it.
pub fn explain(error: &kube::Error, doing: &str, way: &str) -> Error {
    let (cause, hint) = authentication(error).unwrap_or_else(|| {
        let whole = chain(error);
        let hint = hint(&whole).to_owned();
        // Of a proxy's tunnel the whole story is needed: who did not answer whom.
        let short = unreached(error).filter(|_| !is_tunnel(&whole));
        (short.unwrap_or(whole), hint)
    });
    Error::input(doing).at(way).cause(cause).hint(hint)
}

/// Whether asking again cannot help: the certificates or the credentials are wrong.
pub fn is_final(error: &kube::Error) -> bool {
    let says = |words: &str| chain(error).contains(words);
    authentication(error).is_some() || says("certificate") || says("proxy authorization required")
}

fn authentication(error: &kube::Error) -> Option<(String, String)> {
    const PLUGIN: &str = "run the plugin by hand; kubectl uses the same one";
    let auth = match error {
        kube::Error::Auth(auth) => auth,
        other => find_auth(other)?,
    };
    Some(match auth {
        AuthError::AuthExecRun { out, .. } => (format!("the credential plugin failed: {}", out.status), PLUGIN.into()),
        AuthError::AuthExecStart(cause) => {
            (format!("the credential plugin does not start: {cause}"), "is it installed and on PATH?".into())
        }
        AuthError::AuthExecParse(_) => {
            ("the credential plugin's output is not an ExecCredential".into(), PLUGIN.into())
        }
        AuthError::AuthExec(_) => ("the credential plugin gave no credentials".into(), PLUGIN.into()),
        AuthError::InvalidBearerToken(_) => ("the token holds characters that no token has".into(), String::new()),
        AuthError::InvalidBasicAuth(_) => ("user or password cannot be sent".into(), String::new()),
        other => (chain(other), String::new()),
    })
}

fn find_auth<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e AuthError> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(auth) = cause.downcast_ref::<AuthError>() {
            return Some(auth);
        }
        next = cause.source();
    }
    None
}

/// The words of hyper-util's tunnels.
fn is_tunnel(cause: &str) -> bool {
    ["tunnel error", "SOCKS error"].iter().any(|words| cause.contains(words))
}

fn hint(cause: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if is_tunnel(cause) {
        return if says(&["proxy authorization required", "user/pass", "credentials not accepted"]) {
            "the proxy wants a user and a password, or others: http://USER:PASSWORD@HOST:PORT"
        } else if says(&["tunnel error: unsuccessful", "SOCKS error: "]) {
            "the proxy does not let us through, or does not reach the server; NO_PROXY takes a server out of HTTPS_PROXY"
        } else if says(&["certificate"]) {
            "the proxy's certificate is judged like the server's, by the kubeconfig's CA: is the proxy https:// at all?"
        } else {
            "is the proxy up, and of the kind that its URL says? NO_PROXY takes a server out of HTTPS_PROXY"
        };
    }
    if says(&["UnknownIssuer"]) {
        "the server's certificate is of another CA than the kubeconfig's: is this the right cluster?"
    } else if says(&["NotValidForName"]) {
        "the server's certificate is for another name: tls-server-name in the kubeconfig"
    } else if says(&["Expired", "NotValidYet"]) {
        "a certificate is out of date, or this machine's clock is wrong"
    } else if says(&["dns error", "failed to lookup"]) {
        "the server's name does not resolve here"
    } else if says(&["Connection refused", "tcp connect", "timed out", "deadline"]) {
        "is the API server up and reachable from here?"
    } else if says(&["InvalidContentType", "corrupt message"]) {
        "the server does not speak TLS: http:// in the kubeconfig?"
    } else {
        ""
    }
}
