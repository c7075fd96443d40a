//! What goes wrong on the way to Kubernetes, said so that a person can act on it, and without secrets.
//!
//! The kube crate's own texts may hold secrets: a kubeconfig that does not parse is quoted, a credential
//! plugin that fails is shown with its environment and its output. Those are replaced here.

use std::error::Error as StdError;
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{InClusterError, KubeconfigError, LoadDataError};

use super::plugin::Plugin;
use super::unreached::unreached;
use crate::error::{Error, chain};

/// What to do when the API server does not know us.
pub const WHO_ARE_WE: &str = "has the token expired?";

/// What to do about a right to read that is missing.
pub const MISSING_RIGHT: &str = "the account needs get and list on pods, nodes, services and namespaces";

/// What to do when nobody gave Kubernetes.
pub const NOT_GIVEN: &str = "give one: --kubeconfig, KUBECONFIG, or --kube-objects";

/// What to do about a token that cannot be sent.
pub const LINE_BREAK: &str = "look for a line break in it, or at its end";

/// What to do about a token file.
pub const TOKEN_FILE: &str = "who writes it, and may this user read it?";

/// What to do about a file that a kubeconfig names.
const RELATIVE: &str = "paths in a kubeconfig are relative to its own folder";

/// What to do about certificates that are none.
pub const PEM: &str =
    "certificates and keys are PEM, in a kubeconfig itself as base64; a client certificate has its key";

/// What to do about a server that takes connections and does not answer.
pub const SILENT: &str = "is the API server overloaded or frozen, or does a firewall swallow packets? (--kube-timeout)";

/// What to do about an answer that is not the API server's: its own ones say of what kind they are.
pub fn not_its_word(is_passing: bool) -> &'static str {
    match is_passing {
        true => "it is not the API server that says so, but what stands before it: is the API server behind it up?",
        false => {
            "what answers there is no API server: check the kubeconfig's server (https://?), and for a proxy in between"
        }
    }
}

/// What is wrong with a kubeconfig, or with the credentials that it names.
pub fn kubeconfig(error: &KubeconfigError, file: String, named_by: &str) -> Error {
    let doing = "read the kubeconfig";
    let credentials = |hint: &str| Error::input(doing).at(file.clone()).cause(chain(error)).hint(hint);
    let (cause, hint) = match error {
        KubeconfigError::ReadConfig(cause, _) => (cause.to_string(), format!("it was named by {named_by}")),
        // The parser quotes the lines around the error, tokens and all.
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|at| format!(", line {}, column {}", at.line(), at.column()));
            (format!("it is not a kubeconfig in YAML{}", place.unwrap_or_default()), "kubectl config view".to_owned())
        }
        KubeconfigError::LoadClientCertificate(LoadDataError::ReadFile(..))
        | KubeconfigError::LoadClientKey(LoadDataError::ReadFile(..))
        | KubeconfigError::LoadCertificateAuthority(LoadDataError::ReadFile(..)) => {
            return credentials(RELATIVE);
        }
        KubeconfigError::LoadClientCertificate(_)
        | KubeconfigError::LoadClientKey(_)
        | KubeconfigError::LoadCertificateAuthority(_)
        | KubeconfigError::ParseCertificates(_) => return credentials(PEM),
        other => (chain(other), "kubectl config view".to_owned()),
    };
    Error::configuration(doing).at(file).cause(cause).hint(hint)
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
    Error::input("use the pod's own account")
        .at("the pod's own account")
        .cause(chain(error))
        .hint("is automountServiceAccountToken off? --kubeconfig names another way")
}

/// A request that got no answer, or a client that could not be made. `way` is the server, and the proxy before it; `plugin`
/// what gives the credentials.
pub fn explain(error: &kube::Error, doing: &str, way: &str, plugin: Option<&Plugin>) -> Error {
    let (cause, hint) = authentication(error, plugin).unwrap_or_else(|| {
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
    authentication(error, None).is_some() || says("certificate") || says("proxy authorization required")
}

/// A credential plugin that was given up.
pub fn plugin_hangs(name: &str, patience: Duration) -> Error {
    let took = humantime::format_duration(patience);
    Error::input("run a credential plugin")
        .cause(format!("the credential plugin {name} did not end within {took}"))
        .hint(PLUGIN)
}

const PLUGIN: &str = "run the plugin by hand; kubectl uses the same one";
const INSTALLED: &str = "is it installed and on PATH?";

/// A plugin that has a terminal has spoken for itself.
const SPOKEN: &str = "what it said stands above; run the plugin by hand: kubectl uses the same one";

fn authentication(error: &kube::Error, plugin: Option<&Plugin>) -> Option<(String, String)> {
    let auth = match error {
        kube::Error::Auth(auth) => auth,
        other => find_auth(other)?,
    };
    let named = plugin.map(|plugin| format!("the credential plugin {}", plugin.name));
    let named = named.unwrap_or_else(|| "the credential plugin".to_owned());
    let missing = || plugin.and_then(|plugin| plugin.install_hint.clone()).unwrap_or_else(|| INSTALLED.into());
    Some(match auth {
        AuthError::AuthExecRun { out, .. } => {
            let words = plugin.and_then(|plugin| plugin.words.as_ref());
            let said = words.and_then(|words| words.said(&out.stderr));
            let said = said.map(|said| format!(", saying: {said}")).unwrap_or_default();
            let hint = if plugin.is_some() && words.is_none() { SPOKEN } else { PLUGIN };
            (format!("{named} failed with {}{said}", out.status), hint.into())
        }
        AuthError::AuthExecStart(cause) => (format!("{named} does not start: {cause}"), missing()),
        AuthError::AuthExecParse(_) => (format!("what {named} prints is not an ExecCredential"), PLUGIN.into()),
        // The kube crate's words for a program of before there was a protocol; they show its arguments.
        AuthError::AuthExec(words) if words.starts_with("Executing ") => (format!("{named} does not start"), missing()),
        // Before there were plugins kubectl had its own.
        AuthError::AuthExec(_) if plugin.is_none() => (
            "the kubeconfig's auth-provider is one that is not supported, or lacks its id-token".into(),
            "name a credential plugin (exec) instead, as kubectl wants it today".into(),
        ),
        AuthError::AuthExec(_) | AuthError::ExecPluginFailed => (format!("{named} gave no credentials"), PLUGIN.into()),
        AuthError::InvalidBearerToken(_) => ("the token holds characters that no token has".into(), LINE_BREAK.into()),
        AuthError::MalformedTokenExpirationDate(_) => {
            (format!("the token of {named} expires at no time that can be read"), PLUGIN.into())
        }
        AuthError::ReadTokenFile(cause, file) => {
            (format!("the token file {} cannot be read: {cause}", file.display()), TOKEN_FILE.into())
        }
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
    if says(&["failed to read file"]) {
        RELATIVE
    } else if says(&["KeyMismatch"]) {
        "the kubeconfig's client certificate and client key are not a pair"
    } else if says(&["failed to add a root certificate", "PEM", "base64", "no base64 data", "private key"]) {
        PEM
    } else if says(&["UnknownIssuer"]) {
        "the server's certificate is of another CA than the kubeconfig's (than this machine's, where that names none): is this \
         the right cluster?"
    } else if says(&["NotValidForName", "not valid for name"]) {
        "the server's certificate is for another name: tls-server-name in the kubeconfig"
    } else if says(&["Expired", "NotValidYet", "certificate expired", "not valid yet"]) {
        "a certificate is out of date, or this machine's clock is wrong"
    } else if says(&["dns error", "failed to lookup", "invalid dns name"]) {
        "the server's name does not resolve here"
    } else if says(&["Connection refused", "tcp connect", "timed out", "deadline"]) {
        "is the API server up and reachable from here?"
    } else if says(&["InvalidContentType", "corrupt message"]) {
        "the server does not speak TLS: http:// in the kubeconfig?"
    } else if says(&["CaUsedAsEndEntity"]) {
        "the server shows a CA's certificate as its own: it needs one that is signed by a CA"
    } else if says(&["invalid peer certificate"]) {
        "the server's certificate is not to be believed: openssl s_client -connect HOST:PORT shows it"
    } else if says(&["received fatal alert"]) {
        "the server breaks TLS off: does it take the kubeconfig's client certificate, and does it speak TLS 1.2 or newer?"
    } else if says(&["tls handshake eof", "onnection reset"]) {
        "the server hung up before it said a word: is it an API server, or a load balancer with nobody behind it?"
    } else if says(&["connection closed", "broken pipe", "connection error", "IncompleteMessage"]) {
        "the server hung up: is it being restarted, or is it no API server?"
    } else {
        ""
    }
}
