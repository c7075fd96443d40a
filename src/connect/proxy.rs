//! The way through a proxy to Kubernetes' API, by the rules that kubectl has from Go.
//!
//! The kube crate compares `NO_PROXY` with the proxy's own address instead of the server's, and refuses a kubeconfig
//! when the list has a blank in it. So which proxy is used is decided here, and the kube crate is told of none. The
//! proxy gets to know the server's host and port, and its own user and password; everything else goes through it as
//! through a wire. User and password are secrets: what is shown of a proxy has neither.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::{Authority, Uri};
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use ipnet::IpNet;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use percent_encoding::percent_decode_str;
use tower::{BoxError, Service, ServiceExt as _};

use super::settings::Secret;
use crate::error::Error;

/// What the environment says of proxies. Upper case goes before lower case, an empty value is none.
#[derive(Clone, Debug, Default)]
pub struct ProxyVariables {
    https: Option<(&'static str, Secret)>,
    http: Option<(&'static str, Secret)>,
    exempt: String,
}

impl ProxyVariables {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, and `ALL_PROXY` for want of the first two.
    ///
    /// What is no UTF-8 is kept with a mark in it, since a variable that is set is not absent: of a proxy it is refused.
    pub fn read(env: &dyn Fn(&str) -> Option<OsString>) -> ProxyVariables {
        let text = |name: &str| env(name).map(|value| value.to_string_lossy().into_owned());
        let value = |name: &'static str| Some((name, text(name).filter(|value| !value.is_empty())?));
        let first = |upper, lower| value(upper).or_else(|| value(lower));
        let url = |upper, lower| first(upper, lower).map(|(name, url)| (name, Secret::new(url)));
        let all = url("ALL_PROXY", "all_proxy");
        ProxyVariables {
            https: url("HTTPS_PROXY", "https_proxy").or_else(|| all.clone()),
            http: url("HTTP_PROXY", "http_proxy").or(all),
            exempt: first("NO_PROXY", "no_proxy").map(|(_, list)| list).unwrap_or_default(),
        }
    }

    /// The proxy that these variables put before this server.
    ///
    /// # Errors
    /// It is none that can be used.
    pub fn proxy_for(&self, server: &Uri) -> Result<Option<Proxy>, Error> {
        let (variable, port) = match server.scheme_str() {
            Some("http") => (&self.http, 80),
            _ => (&self.https, 443),
        };
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        match variable {
            Some((name, url)) if !is_exempt(&self.exempt, &host, server.port_u16().unwrap_or(port)) => {
                Proxy::parse(name, url.expose()).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether no proxy stands before this host: this machine itself, and what `NO_PROXY` lists: `*`, addresses, networks,
/// `name` (with all below it), `.name` and `*.name` (only those below); all but networks also with a port.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let ours = address(host);
    if host == "localhost" || ours.is_some_and(|ours| ours.is_loopback()) {
        return true;
    }
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if let Ok(network) = entry.parse::<IpNet>() {
            return ours.is_some_and(|ours| network.contains(&ours));
        }
        // Of `fd00::1` nothing is a port.
        let (name, its_port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (entry.as_str(), None),
        };
        let name = name.trim_matches(['[', ']']);
        let matches = match name.strip_prefix('*').filter(|below| below.starts_with('.')).unwrap_or(name) {
            _ if entry == "*" => true,
            "" => false,
            below if below.starts_with('.') => host.ends_with(below),
            name if address(name).is_some() => ours == address(name),
            name => host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        };
        matches && its_port.is_none_or(|its_port| its_port.is_empty() || its_port.parse() == Ok(port))
    })
}

/// A proxy to go through.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Scheme, host and port alone.
    url: Uri,
    user: Option<(Secret, Secret)>,
    named_by: &'static str,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.to_string();
        write!(f, "the proxy {} ({})", url.trim_end_matches('/'), self.named_by)
    }
}

impl Proxy {
    /// `[SCHEME://][USER:PASSWORD@]HOST[:PORT]`; without a scheme it is http, as Go has it.
    ///
    /// # Errors
    /// Another scheme than http, https and socks5, or no URL. The error holds nothing of the text: any part of it may
    /// be a password.
    pub fn parse(named_by: &'static str, text: &str) -> Result<Proxy, Error> {
        let refused = |cause: &str| {
            let hint =
                "expected http://HOST:PORT (or https, socks5), USER:PASSWORD@ before the host, escaped as in URLs";
            Error::configuration("use a proxy").at(named_by).cause(cause.to_owned()).hint(hint)
        };
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(refused("it is no UTF-8"));
        }
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("http", text.trim()));
        let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", 80),
            "https" => ("https", 443),
            "socks5" | "socks5h" => ("socks5", 1080),
            _ => return Err(refused("it is of a kind that is not supported")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let host: Authority = host.parse().map_err(|_| refused("it is no URL"))?;
        // An `@` further behind: what looks like the host is the beginning of a password.
        if path.contains('@') || host.host().is_empty() {
            return Err(refused("it is no URL"));
        }
        let port = match (host.port_u16(), host.as_str() == host.host()) {
            (Some(port), _) => port,
            (None, true) => port,
            (None, false) => return Err(refused("its port is no number")),
        };
        let url = format!("{scheme}://{}:{port}", host.host()).parse().map_err(|_| refused("it is no URL"))?;
        let plain = |text: &str| percent_decode_str(text).decode_utf8().map(Secret::new);
        let user = user.map(|user| user.split_once(':').unwrap_or((user, "")));
        let user = user.map(|(user, password)| Ok((plain(user)?, plain(password)?))).transpose();
        let user = user.map_err(|_: std::str::Utf8Error| refused("its user or password is no UTF-8"))?;
        Ok(Proxy { url, user, named_by })
    }

    /// A client whose connections go through this proxy.
    ///
    /// # Errors
    /// Certificates or credentials that cannot be used.
    pub fn client(&self, mut config: kube::Config) -> Result<kube::Client, kube::Error> {
        config.cluster_url = with_port(&config.cluster_url).unwrap_or(config.cluster_url);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        if self.url.scheme_str() == Some("socks5") {
            let socks = SocksV5::new(self.url.clone(), tcp);
            return client(
                &config,
                match &self.user {
                    Some((user, password)) => socks.with_auth(user.expose().to_owned(), password.expose().to_owned()),
                    None => socks,
                },
            );
        }
        // An https:// proxy is trusted by the server's CA, as kubectl has it.
        let tunnel = Tunnel::new(self.url.clone(), config.rustls_https_connector_with_connector(tcp)?);
        let basic = self.user.as_ref().map(|(user, password)| {
            format!("Basic {}", STANDARD.encode(format!("{}:{}", user.expose(), password.expose())))
        });
        match basic.and_then(|basic| basic.parse().ok()) {
            Some(basic) => client(&config, tunnel.with_auth(basic)),
            None => client(&config, tunnel),
        }
    }
}

/// An http server that is given without a port: a tunnel would lead to the port of https.
fn with_port(server: &Uri) -> Option<Uri> {
    let mut parts = server.clone().into_parts();
    let bare = parts.authority.filter(|bare| server.scheme_str() == Some("http") && bare.port().is_none())?;
    parts.authority = Some(format!("{bare}:80").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// What the kube crate makes of a configuration, over another connector.
fn client<C>(config: &kube::Config, connector: C) -> Result<kube::Client, kube::Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: std::error::Error + Send + Sync + 'static,
{
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    // The time for a connection counts from the first packet to the proxy to the last of the server's TLS.
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector).map_err(BoxError::from);
    let client = ClientBuilder::new(client, &config.default_namespace).with_layer(&config.extra_headers_layer()?);
    Ok(match config.auth_layer()? {
        Some(auth) => client.with_layer(&auth).with_layer(&config.base_uri_layer()).build(),
        None => client.with_layer(&config.base_uri_layer()).build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    fn variables(given: &[(&str, &str)]) -> ProxyVariables {
        ProxyVariables::read(&|name| given.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into()))
    }

    fn shown(given: &[(&str, &str)], server: &str) -> String {
        let proxy = variables(given).proxy_for(&server.parse().unwrap()).unwrap();
        proxy.map_or("none".to_owned(), |proxy| proxy.to_string())
    }

    #[test]
    fn the_servers_scheme_chooses_the_variable_and_upper_case_goes_first() {
        let all = ("ALL_PROXY", "socks5h://s");
        let given = [("HTTPS_PROXY", ""), ("https_proxy", "http://a"), ("HTTP_PROXY", "b:3128"), all];
        assert_eq!(shown(&given, "https://api:6443"), "the proxy http://a:80 (https_proxy)");
        assert_eq!(shown(&given, "http://api"), "the proxy http://b:3128 (HTTP_PROXY)");
        let given = [("HTTPS_PROXY", "https://a"), ("https_proxy", "http://b"), all];
        assert_eq!(shown(&given, "https://api"), "the proxy https://a:443 (HTTPS_PROXY)");
        assert_eq!(shown(&given, "http://api"), "the proxy socks5://s:1080 (ALL_PROXY)");
        assert_eq!(shown(&[], "https://api"), "none");
    }

    /// Each of them as Go's `httpproxy` answers.
    #[test]
    fn no_proxy_is_read_as_kubectl_reads_it() {
        for (no_proxy, server, through) in [
            ("", "https://api.example.com", true),
            ("", "https://127.0.0.1", false),
            ("", "https://[::1]:6443", false),
            ("", "https://[::ffff:127.0.0.1]:6443", false),
            ("", "https://localhost:6443", false),
            ("*", "https://api.example.com", false),
            ("example.com", "https://api.example.com", false),
            ("example.com", "https://example.com", false),
            ("example.com", "https://badexample.com", true),
            (".example.com,", "https://API.example.com", false),
            (".example.com", "https://example.com", true),
            ("*.example.com", "https://api.example.com", false),
            ("*.example.com", "https://example.com", true),
            ("*example.com", "https://api.example.com", true),
            ("*:6443", "https://api.example.com:6443", true),
            ("a,, other, 10.0.0.0/8", "https://10.1.2.3", false),
            ("10.9.9.9/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("10.0.0.0/8", "https://[::ffff:10.1.2.3]", false),
            ("10.1.2.3", "https://10.1.2.3", false),
            ("10.1.2.3:443", "https://10.1.2.3", false),
            ("10.1.2.3:6443", "https://10.1.2.3", true),
            ("10.1.2.3:80", "http://10.1.2.3", false),
            ("10.1.2.3:", "https://10.1.2.3:6443", false),
            ("example.com:6443", "https://api.example.com:6443", false),
            ("example.com:443", "https://api.example.com:6443", true),
            ("fd00::1", "https://[fd00::1]:6443", false),
            ("FD00:0::1", "https://[fd00::1]:6443", false),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", false),
            ("[fd00::1]:443", "https://[fd00::1]:6443", true),
            ("fd00::/8", "https://[fd00::1]:6443", false),
            // The proxy's own address says nothing.
            ("proxy,192.0.2.1", "https://10.1.2.3", true),
            (":443", "https://10.1.2.3", true),
        ] {
            let given =
                [("HTTPS_PROXY", "http://proxy:3128"), ("HTTP_PROXY", "http://proxy:3128"), ("NO_PROXY", no_proxy)];
            assert_eq!(shown(&given, server) != "none", through, "{no_proxy:?} {server}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_no_utf8_is_not_passed_over() {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = |bytes: &[u8]| Some(OsString::from_vec(bytes.to_vec()));
        let given = ProxyVariables::read(&|name| match name {
            "HTTPS_PROXY" => bytes(b"http://me:hunter2\xff@proxy"),
            "HTTP_PROXY" => bytes(b"http://proxy"),
            "NO_PROXY" => bytes(b"caf\xe9,10.0.0.0/8"),
            _ => None,
        });
        let error = given.proxy_for(&Uri::from_static("https://api")).unwrap_err();
        let told = format!("{} {error:?}", chain(&error));
        assert!(told.contains("HTTPS_PROXY") && !told.contains("hunter2"), "{told}");
        assert!(given.proxy_for(&Uri::from_static("http://10.1.2.3")).unwrap().is_none());
    }

    #[test]
    fn user_and_password_are_used_and_never_shown() {
        let proxy = Proxy::parse("HTTPS_PROXY", "http://me:hunt%3A%40er2@x@[fd00::1]:3128/").unwrap();
        let (user, password) = proxy.user.as_ref().unwrap();
        assert_eq!((user.expose(), password.expose()), ("me", "hunt:@er2@x"));
        assert_eq!(proxy.to_string(), "the proxy http://[fd00::1]:3128 (HTTPS_PROXY)");
        let variables = variables(&[("HTTPS_PROXY", "http://me:hunter2@proxy")]);
        let shown = format!("{proxy:?} {variables:?} {:?}", variables.proxy_for(&Uri::from_static("https://api")));
        assert!(!shown.contains("hunt"), "{shown}");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_a_word_of_it() {
        for text in [
            "ftp://hunter2@proxy",
            "hunter2://proxy",
            "http://me:hunter2/x@proxy:3128",
            "http://hunter2:9#x@proxy:3128",
            "http://proxy:hunter2",
            "http://hunter2@",
            "http://hunter2@:3128",
            "http://hunter2 x",
            "http://me:hunter2%ff@proxy",
            "://hunter2",
        ] {
            let error = Proxy::parse("HTTPS_PROXY", text).unwrap_err();
            let told = format!("{} {error:?}", chain(&error));
            assert!(told.contains("HTTPS_PROXY") && !told.contains("hunter2"), "{text}: {told}");
        }
    }
}
