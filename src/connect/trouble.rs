//! What etcd's refusals mean: which are worth another try, and the hint for those that are not.
//!
//! The codes alone do not tell: a compacted revision, a revision of the future and an answer that is too
//! large all come as `OutOfRange`, and a connection that broke comes under five codes. So the text decides,
//! and every text below was seen from etcd 3.4 and 3.7 (`tests/etcd.rs` provokes them).

use std::error::Error as StdError;

use super::unreached::unreached;
use crate::checks::datastore::etcd_alarm;
use crate::error::Error;

// gRPC's numbers: tonic is no direct dependency.
const CANCELLED: i32 = 1;
const UNKNOWN: i32 = 2;
const DEADLINE_EXCEEDED: i32 = 4;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

/// What to do about a failed call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TroubleKind {
    /// Ask again, the next endpoint if there is one: nobody there, no TLS with it, broken connection, no leader, overload.
    Retry,
    /// No answer in time. Worth one more try, elsewhere.
    Timeout,
    /// The pinned revision is gone: start over at a new one.
    Compacted,
    /// This server has never seen the pinned revision: another cluster, or one that was restored.
    Future,
    /// The user may not do this.
    Forbidden,
    /// The answer is larger than we accept: ask for less.
    TooLarge,
    /// No user, or a wrong password.
    Identity,
    /// The server does not know our login, or not any more: a new one may cure it.
    Token,
    /// This member only learns, for as long as nobody promotes it: another one must be asked.
    Learner,
    /// This endpoint has no such call: an older version, or a proxy in between.
    Unsupported,
    /// Anything else; asking again gives the same.
    Other,
}

/// A failed call: what it was, and what a person should read about it.
#[derive(Debug)]
pub struct Trouble {
    pub kind: TroubleKind,
    pub error: Error,
}

impl Trouble {
    /// One that asking again does not cure.
    pub fn other(error: Error) -> Trouble {
        Trouble { kind: TroubleKind::Other, error }
    }

    /// Whether a read may simply be tried again, here or elsewhere.
    pub fn again(&self) -> bool {
        matches!(self.kind, TroubleKind::Retry | TroubleKind::Timeout | TroubleKind::Token | TroubleKind::Learner)
    }

    /// Whether the server is there and refuses *us*: no right, no user, not this password, not this login. That is
    /// another state than a server that cannot be reached.
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, TroubleKind::Forbidden | TroubleKind::Identity | TroubleKind::Token)
    }

    /// Names what we were doing (fits after "cannot").
    #[must_use]
    pub fn while_doing(mut self, doing: &str) -> Trouble {
        doing.clone_into(&mut self.error.doing);
        self
    }
}

/// What kind of failure this is.
pub fn kind(error: &etcd_client::Error) -> TroubleKind {
    use etcd_client::Error as E;
    let status = match error {
        E::GRpcStatus(status) => status,
        E::TransportError(_) | E::IoError(_) if text(error).contains(DROPPED) => return TroubleKind::Timeout,
        E::TransportError(_) | E::IoError(_) => return TroubleKind::Retry,
        _ => return TroubleKind::Other,
    };
    let text = text(error);
    let says = |part: &str| text.contains(part);
    // The text goes before the code: what `etcd grpc-proxy` passes on has code Unknown, and a learner is Unavailable to
    // 3.4, FailedPrecondition to 3.7.
    match i32::from(status.code()) {
        // Not etcd, but some HTTP server or proxy: 401, 403 and 404 would pass for etcd's own refusals, and nobody knows
        // what such a proxy has done with a write.
        _ if says(NOT_GRPC) => TroubleKind::Retry,
        _ if says("has been compacted") => TroubleKind::Compacted,
        _ if says("is a future revision") => TroubleKind::Future,
        _ if says("message length too large") || says("larger than max") => TroubleKind::TooLarge,
        PERMISSION_DENIED => TroubleKind::Forbidden,
        _ if says("etcdserver: permission denied") => TroubleKind::Forbidden,
        // The token is from before a change of users or from another life of the server: a new connection cures it.
        UNAUTHENTICATED => TroubleKind::Token,
        _ if says("invalid auth token") => TroubleKind::Token,
        _ if says("auth store is old") => TroubleKind::Retry,
        _ if says("user name is empty") || says("authentication failed") => TroubleKind::Identity,
        _ if says("not supported for learner") => TroubleKind::Learner,
        // An alarm: nothing was written, and nothing will be.
        _ if says("database space exceeded") || says("corrupt cluster") => TroubleKind::Other,
        // How tonic says that no connection came about in time: packets were dropped.
        _ if says(DROPPED) => TroubleKind::Timeout,
        RESOURCE_EXHAUSTED if says("too many requests") => TroubleKind::Retry,
        CANCELLED if says("Timeout expired") => TroubleKind::Timeout,
        DEADLINE_EXCEEDED => TroubleKind::Timeout,
        UNIMPLEMENTED => TroubleKind::Unsupported,
        // A broken connection shows under any of these, by chance.
        CANCELLED | UNKNOWN | INTERNAL | UNAVAILABLE => TroubleKind::Retry,
        _ => TroubleKind::Other,
    }
}

/// tonic's whole word for a connection that did not come about in time; it names neither a time nor a cause.
pub const DROPPED: &str = "deadline has elapsed";

/// What is said of an answer that is HTTP alone.
const NOT_GRPC: &str = "the answer is no gRPC";

/// How tonic says so: of an answer without a body, and of one with a body, of which it reads the first byte as a flag.
const NOT_GRPC_IN_TONIC: [&str; 3] =
    ["grpc-status header missing", "invalid compression flag", "with compressed-flag but no grpc-encoding"];

/// The same with the status alone: what a web page's first letter would mean in gRPC tells nobody anything.
fn no_grpc(message: &str) -> Option<String> {
    if !NOT_GRPC_IN_TONIC.iter().any(|words| message.contains(words)) {
        return None;
    }
    let status = ["while receiving response with status: ", "HTTP status code "].into_iter();
    let status = status.filter_map(|before| message.split_once(before)).map(|(_, status)| status.trim()).next();
    Some(status.map_or_else(|| NOT_GRPC.to_owned(), |status| format!("{NOT_GRPC}, but HTTP with status {status}")))
}

/// Whether the server has no authentication: a user name is then as good as none, as Calico's client has it.
pub fn authentication_is_off(error: &etcd_client::Error) -> bool {
    text(error).contains("authentication is not enabled")
}

/// The whole story in one line, each cause once. `etcd_client::Error` has no `source()` of its own.
pub fn text(error: &etcd_client::Error) -> String {
    use etcd_client::Error as E;
    match error {
        E::GRpcStatus(status) => {
            if let Some(short) = unreached(status) {
                return short;
            }
            if let Some(short) = no_grpc(status.message()) {
                return short;
            }
            let mut text = status.message().to_owned();
            if text.is_empty() {
                text = status.code().to_string();
            }
            append_causes(&mut text, status.source());
            text
        }
        E::TransportError(below) => {
            if let Some(short) = unreached(below) {
                return short;
            }
            let mut text = below.to_string();
            append_causes(&mut text, below.source());
            text
        }
        other => other.to_string(),
    }
}

fn append_causes(text: &mut String, mut next: Option<&(dyn StdError + 'static)>) {
    while let Some(cause) = next {
        let line = cause.to_string();
        // tonic's own "transport error" says nothing beside a real cause.
        if !line.is_empty() && line != "transport error" && !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
}

/// How we spoke to the server that failed us.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    pub https: bool,
    /// Whether there is no CA at all: none was given, and this machine has none.
    pub trusts_nobody: bool,
    /// Whether we had a client certificate to show.
    pub certificate: bool,
    /// Whether it has ever answered us: then a broken connection says nothing about TLS.
    pub proven: bool,
}

/// What to do about a right to read that is missing. A certificate whose name is no user of etcd's is refused in the same
/// words.
pub const MISSING_RIGHT: &str = "the user's role needs read on the prefix /calico/ \
    (etcdctl role grant-permission ROLE --prefix=true read /calico/); a client certificate's user is its common name";

/// What a person can do about it; empty when we have no idea.
pub fn hint(text: &str, how: Contact) -> &'static str {
    let says = |part: &str| text.contains(part);
    if says(NOT_GRPC) {
        "what answers there is no etcd: check host and port, and whether a proxy or the API server stands there"
    } else if says("HTTP/2 was not negotiated") {
        "what answers there speaks no HTTP/2, as etcd does: check host and port (2379; 2380 is the peers'), and whether a \
         proxy ends TLS in between"
    } else if says("frame with invalid size") {
        no_http2(how)
    } else if says("UnknownIssuer") && how.trusts_nobody {
        "this machine has no CA certificates: --etcd-ca-cert (ETCD_CA_CERT_FILE), or SSL_CERT_FILE, SSL_CERT_DIR"
    } else if says("UnknownIssuer") {
        "the server's certificate is not signed by the CA we have: check --etcd-ca-cert (ETCD_CA_CERT_FILE)"
    } else if says("NotValidForName") || says("not valid for name") {
        "the server's certificate does not name this endpoint: use the name or address that it names"
    } else if says("Expired") || says("certificate expired") || says("NotValidYet") {
        "the server's certificate has expired or is not valid yet (or this machine's clock is wrong)"
    } else if says("CaUsedAsEndEntity") {
        "the server shows a CA's certificate as its own: it needs one that is signed by a CA (and --etcd-ca-cert names that)"
    } else if says("invalid peer certificate") {
        "the server's certificate is not to be believed: openssl s_client -connect HOST:PORT shows it"
    } else if says("KeyMismatch") || says("keys may not be consistent") {
        "the client certificate and the key are not a pair: check --etcd-cert and --etcd-key"
    } else if says("CertificateRequired") || says("certificate required") {
        "the server wants a client certificate: --etcd-cert and --etcd-key (ETCD_CERT_FILE, ETCD_KEY_FILE)"
    } else if says("received fatal alert: ProtocolVersion") || says("received fatal alert: HandshakeFailure") {
        "the server has no version or cipher of TLS in common with us: it must speak TLS 1.2 or newer"
    } else if says("received fatal alert") && !how.certificate {
        "the server breaks TLS off: perhaps it wants a client certificate (--etcd-cert and --etcd-key)"
    } else if says("received fatal alert") {
        "the server does not accept our client certificate: check --etcd-cert and --etcd-key"
    } else if says("InvalidContentType") || says("corrupt message") {
        "the server does not speak TLS on this port: try http:// instead of https://"
    } else if says("tls handshake eof") || (how.https && says("onnection reset by peer")) {
        "the server hung up before TLS began: perhaps it does not speak TLS on this port: try http:// instead of https://; or a \
         load balancer has nobody behind it"
    } else if says("failed to lookup address") || says("dns error") {
        "the name does not resolve: check the endpoint and this machine's DNS"
    } else if says("connection refused") {
        "nobody listens there: check host and port, and whether etcd runs"
    } else if says("no route to host") || says("network is unreachable") || says("network unreachable") {
        "this machine knows no way there: check the address, and this machine's routes, VPN and firewall"
    } else if says("user name is empty") {
        "etcd wants a user: --etcd-username and --etcd-password-file (ETCD_USERNAME, ETCD_PASSWORD)"
    } else if says("authentication failed") {
        "user name or password is wrong: check --etcd-username and --etcd-password-file (ETCD_USERNAME, ETCD_PASSWORD)"
    } else if says("not supported for learner") {
        "this endpoint is a learner, which answers no reads: name a voting member too (etcdctl member list), or promote it"
    } else if says("database space exceeded") {
        etcd_alarm::WHEN_FULL
    } else if says("corrupt cluster") {
        etcd_alarm::WHEN_CORRUPT
    } else if says("no connection within") {
        "nothing answers there, not even a refusal: is the host up and the address right, or does a firewall drop packets?"
    } else if says("permission denied") {
        MISSING_RIGHT
    } else if says("has been compacted") {
        "etcd is compacted faster than it is read: try again, or raise --etcd-concurrency"
    } else if says("is a future revision") {
        "this server has an older state than the one we began with: restored, or another cluster"
    } else if says("no answer within") || says("connection timed out") || says("Timeout expired") {
        "the server does not answer: is it overloaded or frozen, or does a firewall swallow packets? (--etcd-timeout)"
    } else if says("no leader") || says("request timed out") || says("leader changed") {
        "etcd has no leader or is overloaded: check etcdctl endpoint status"
    } else if says("invalid auth token") {
        "etcd does not know the login that it has just given us: check its --auth-token (ttl, one key for all) and its clocks"
    } else if HUNG_UP.iter().any(|part| says(part)) {
        hung_up(how)
    } else {
        ""
    }
}

/// A server that closes the connection instead of answering. Which of these one sees is chance: with TLS 1.3 a
/// refused client certificate shows as an alert, a closed connection or a broken pipe.
const HUNG_UP: [&str; 8] = [
    "onnection reset by peer",
    "transport error",
    "operation was canceled",
    "connection closed",
    "connection error",
    "broken pipe",
    "http2 error",
    "h2 protocol error",
];

fn hung_up(how: Contact) -> &'static str {
    match how {
        Contact { proven: true, .. } => "the connection broke: is etcd being restarted? (etcdctl endpoint health)",
        Contact { https: false, .. } => {
            "the server hung up: perhaps it speaks TLS on this port (https:// and --etcd-ca-cert), or it is no etcd, or its port \
             for peers (2380)"
        }
        Contact { certificate: false, .. } => {
            "the server hung up: perhaps it wants a client certificate (--etcd-cert and --etcd-key), or it is no etcd, or its \
             port for peers (2380)"
        }
        _ => {
            "the server hung up: perhaps it does not accept our client certificate (--etcd-cert and --etcd-key), or it is no \
             etcd, or its port for peers (2380)"
        }
    }
}

/// An answer that came, and in which there is no HTTP/2: of HTTP/1 mostly. A port with TLS answers so to who does without.
fn no_http2(how: Contact) -> &'static str {
    match how.https {
        true => "what answers there speaks no HTTP/2, as etcd does: check host and port (2379; 2380 is the peers')",
        false => {
            "what answers there is no etcd without TLS: https:// and --etcd-ca-cert, or check host and port (2379; 2380 is the \
             peers')"
        }
    }
}
