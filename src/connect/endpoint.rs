//! An etcd endpoint as people write it: with or without scheme, perhaps with a password that nobody may see.

use crate::error::Error;

/// Where to connect to.
pub(super) struct Target {
    pub url: String,
    /// Without credentials, as the user wrote it.
    pub shown: String,
}

impl Target {
    /// An endpoint without scheme is https when there are certificates, as with etcd's own clients.
    pub fn parse(text: &str, has_tls: bool) -> Result<Target, Error> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None if has_tls => ("https".to_owned(), text),
            None => ("http".to_owned(), text),
        };
        // Credentials and a path mean nothing to gRPC; a password must not get into an error.
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let shown = format!("{scheme}://{host}");
        let doing = || Error::configuration("use this etcd endpoint").at(&shown).hint("expected http(s)://HOST:PORT");
        if !matches!(scheme.as_str(), "http" | "https") || host.is_empty() {
            return Err(doing());
        }
        let uri: http::Uri = shown.parse().map_err(|e: http::uri::InvalidUri| doing().cause(e))?;
        // Go's clients add no port either; etcd listens on none of the two defaults.
        match uri.port() {
            Some(_) => Ok(Target { url: shown.clone(), shown }),
            None => Err(doing().cause("no port")),
        }
    }

    pub fn is_https(&self) -> bool {
        self.url.starts_with("https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, has_tls: bool) -> String {
        match Target::parse(text, has_tls) {
            Ok(target) => target.shown,
            Err(error) => format!("{} {error}", crate::error::chain(&error)),
        }
    }

    #[test]
    fn an_endpoint_loses_path_and_credentials() {
        assert_eq!(shown("https://10.0.0.1:2379/", false), "https://10.0.0.1:2379");
        assert_eq!(shown("http://root:hunter2@etcd:2379", false), "http://etcd:2379");
        assert_eq!(shown("http://root:hun@ter2@[fd00::1]:2379", false), "http://[fd00::1]:2379");
        assert_eq!(shown("10.0.0.1:2379", false), "http://10.0.0.1:2379");
        assert_eq!(shown("10.0.0.1:2379", true), "https://10.0.0.1:2379");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_its_password() {
        for text in [
            "unix:///run/etcd.sock",
            "ftp://u:hunter2@etcd:2379",
            "https://u:hunter2@etcd",
            "http://",
            "u:hunter2@a b:1",
        ] {
            let error = shown(text, false);
            assert!(error.starts_with("cannot use this etcd endpoint"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
