//! The way to Kubernetes' API: which of the places where people keep it is used, and a client for it.
//!
//! In order: `--kubeconfig` (with `--context`), `KUBECONFIG`, the account of the pod that we run in,
//! `~/.kube/config`. A place that somebody named must work; when there is none at all, nobody asked for
//! Kubernetes, which is no error. Authentication (tokens, certificates, credential plugins) is the kube crate's.
//! Nothing here may end up in a message that is a secret: see `kube_trouble`.

use std::ffi::{OsStr, OsString};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret as _;
use tokio::sync::oneshot;

use super::ear;
use super::kube_trouble::{self, PEM};
use super::plugin::Plugin;
use super::proxy::{Proxy, ProxyVariables};
use crate::environment;
use crate::environment::stream::{self, Waiting};
use crate::error::Error;

/// Where a pod finds the token of its account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What the user said about the connection.
#[derive(Clone, Debug)]
pub struct KubeSettings {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`: an entry of a kubeconfig, so the pod's own account is passed over.
    pub context: Option<String>,
    /// `--kube-timeout`: how long one request may take, its whole answer included.
    pub timeout: Duration,
}

impl Default for KubeSettings {
    fn default() -> KubeSettings {
        KubeSettings { kubeconfig: None, context: None, timeout: Duration::from_secs(30) }
    }
}

/// What the process finds around itself.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `KUBECONFIG`: files, separated as in `PATH`.
    pub kubeconfig: Option<OsString>,
    /// `KUBERNETES_SERVICE_HOST` is set and the token of an account is there.
    pub in_cluster: bool,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// `HTTPS_PROXY` and the like, which kubectl follows.
    pub proxies: ProxyVariables,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Surroundings {
        Surroundings {
            kubeconfig: environment::value("KUBECONFIG"),
            in_cluster: environment::value("KUBERNETES_SERVICE_HOST").is_some() && Path::new(TOKEN).exists(),
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            proxies: ProxyVariables::read(&environment::value),
        }
    }
}

/// The place that is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Files to be merged, and who named them.
    Files { named_by: &'static str, files: Vec<PathBuf> },
    /// The account of our pod.
    InCluster,
}

/// The first place that there is; `None` when nobody gave Kubernetes.
///
/// A context without a place where it could be is an error, and so is a `KUBECONFIG` without any file.
pub fn place(settings: &KubeSettings, around: &Surroundings) -> Result<Option<Place>, Error> {
    if let Some(file) = &settings.kubeconfig {
        return Ok(Some(Place::Files { named_by: "--kubeconfig", files: vec![file.clone()] }));
    }
    if let Some(list) = around.kubeconfig.as_deref().filter(|list| !list.is_empty()) {
        return named_by_environment(list).map(Some);
    }
    if around.in_cluster && settings.context.is_none() {
        return Ok(Some(Place::InCluster));
    }
    let file = around.home.as_ref().map(|home| home.join(".kube").join("config")).filter(|file| file.exists());
    match (file, &settings.context) {
        (Some(file), _) => Ok(Some(Place::Files { named_by: "the default", files: vec![file] })),
        (None, None) => Ok(None),
        (None, Some(context)) => Err(Error::user("find the context of --context")
            .at(context.clone())
            .hint("there is no kubeconfig: give one with --kubeconfig or KUBECONFIG")),
    }
}

/// As kubectl reads `KUBECONFIG`: empty names and missing files are passed over, as long as one is there.
fn named_by_environment(list: &OsStr) -> Result<Place, Error> {
    let files: Vec<PathBuf> = std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect();
    let present: Vec<PathBuf> = files.iter().filter(|file| file.exists()).cloned().collect();
    if present.is_empty() {
        return Err(Error::configuration("read the kubeconfig")
            .at(list.to_string_lossy())
            .cause("no such file")
            .hint("KUBECONFIG names it: correct it, or unset it"));
    }
    Ok(Place::Files { named_by: "KUBECONFIG", files: present })
}

/// A client of one API server.
#[derive(Clone)]
pub struct KubeClient {
    pub client: kube::Client,
    /// The server's URL, without user and password.
    pub server: String,
    /// The same with the proxy before it, for what goes wrong on the way.
    pub way: String,
    /// Where all this came from, for people: `/root/.kube/config (the default), context prod`.
    pub source: String,
    /// What is run for the credentials, and again when they are about to expire.
    pub plugin: Option<Plugin>,
}

/// A client for the first place that there is; `None` when nobody gave Kubernetes. Connects to nothing yet, but
/// may run a credential plugin. Must be called within a tokio runtime.
///
/// # Errors
/// [`Fault::Input`](crate::error::Fault::Input): the place is as it should be, and the credentials that it names cannot be
/// had or used now: Kubernetes is then as unreachable as one that is down. Any other fault: a place or a context that
/// cannot be meant.
pub async fn connect(settings: &KubeSettings, around: &Surroundings) -> Result<Option<KubeClient>, Error> {
    let Some(place) = place(settings, around)? else { return Ok(None) };
    let (mut config, mut source, own_proxy) = match &place {
        Place::InCluster => {
            let config = Config::incluster().map_err(|e| kube_trouble::in_cluster(&e))?;
            (config, "the pod's own account".to_owned(), None)
        }
        Place::Files { named_by, files } => from_files(files, named_by, settings.context.as_deref()).await?,
    };
    check_server(&config, &source)?;
    check_token(&mut config.auth_info, &source)?;
    config.proxy_url = None;
    let proxy = match own_proxy {
        Some(url) => Some(Proxy::parse("proxy-url in the kubeconfig", &url)?),
        None => around.proxies.proxy_for(&config.cluster_url)?,
    };
    config.connect_timeout = Some(settings.timeout.min(Duration::from_secs(10)));
    config.read_timeout = Some(settings.timeout);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(settings.timeout);
    // Retries are ours: with `Retry-After`, a bound, and within the deadline.
    config.default_retry = false;
    let server = without_user(&config.cluster_url);
    let mut way = server.clone();
    if let Some(proxy) = &proxy {
        let through = format!(" through {proxy}");
        source += &through;
        way += &through;
    }
    let plugin = Plugin::marked(&mut config.auth_info);
    plugin.iter().for_each(|_| ear::listen());
    let made =
        prepare(config, proxy, settings.timeout, plugin.as_ref()).await.map_err(|error| error.at(way.clone()))?;
    let client = made.map_err(|e| kube_trouble::explain(&e, PREPARE, &way, plugin.as_ref()))?;
    Ok(Some(KubeClient { client, server, way, source, plugin }))
}

const PREPARE: &str = "prepare the connection to Kubernetes";

/// Makes the client. A credential plugin runs here, and the kube crate waits for it, in a thread of its own, which is given
/// up with its plugin. Of a token that no header can hold (a plugin's with a line break) its layer panics.
async fn prepare(
    config: Config,
    proxy: Option<Proxy>,
    patience: Duration,
    plugin: Option<&Plugin>,
) -> Result<kube::Result<kube::Client>, Error> {
    let _waiting = plugin.map(|plugin| Waiting::on_program(&format!("the credential plugin {}", plugin.name)));
    let (tell, mut told) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let make = move || {
        let _inside = runtime.enter();
        let made = caught(|| match proxy {
            Some(proxy) => proxy.client(config),
            None => kube::Client::try_from(config),
        });
        // Nobody may wait for it any more.
        _ = tell.send(made);
    };
    std::thread::Builder::new().name("kubernetes".to_owned()).spawn(make).map_err(|e| Error::own(PREPARE).cause(e))?;
    match tokio::time::timeout(patience, &mut told).await {
        Ok(Ok(Some(made))) => Ok(made),
        Ok(Ok(None) | Err(_)) => Err(Error::input(PREPARE).cause(NO_HEADER).hint(kube_trouble::LINE_BREAK)),
        Err(_) => {
            let Some(plugin) = plugin else {
                let took = humantime::format_duration(patience);
                return Err(Error::input(PREPARE).cause(format!("it was not prepared within {took}")));
            };
            // The kube crate runs it once for a certificate and once for a token, whatever became of the first.
            for _ in 0..ENDINGS {
                plugin.end();
                if tokio::time::timeout(BETWEEN, &mut told).await.is_ok() {
                    break;
                }
            }
            Err(kube_trouble::plugin_hangs(&plugin.name, patience))
        }
    }
}

/// How often a plugin that hangs is ended before nobody waits for its thread any more.
const ENDINGS: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(20);

/// `None`: it panicked. Nobody is told so: the words would be those of a fault of ours.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = std::panic::catch_unwind(AssertUnwindSafe(work)).ok();
    std::panic::set_hook(told);
    done
}

const NO_HEADER: &str = "the token of its credentials holds characters that no token has";

/// What the kube crate takes and cannot use: it panics at a server without a scheme, and believes nobody for a CA without
/// any certificate.
fn check_server(config: &Config, at: &str) -> Result<(), Error> {
    if !matches!(config.cluster_url.scheme_str(), Some("https" | "http")) {
        let cause =
            format!("its server {} begins with neither https:// nor http://", without_user(&config.cluster_url));
        return Err(Error::configuration("read the kubeconfig").at(at).cause(cause).hint("server: https://HOST:PORT"));
    }
    match &config.root_cert {
        Some(certificates) if certificates.is_empty() => {
            Err(Error::input(PREPARE).at(at).cause("its certificate authority holds no certificate").hint(PEM))
        }
        _ => Ok(()),
    }
}

/// The credentials as kubectl takes them: the text of a token file without the blanks around it.
fn check_token(auth: &mut AuthInfo, at: &str) -> Result<(), Error> {
    let fail = |cause: String| Error::input(PREPARE).at(at.to_owned()).cause(cause);
    if let Some(token) = &auth.token {
        let is_sent = http::HeaderValue::from_str(token.expose_secret()).is_ok();
        return match is_sent {
            true => Ok(()),
            false => Err(fail(NO_HEADER.to_owned()).hint(kube_trouble::LINE_BREAK)),
        };
    }
    let Some(file) = auth.token_file.clone() else { return Ok(()) };
    // What cannot be read is told by who reads it again and again.
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(()) };
    match text.trim() {
        "" => Err(fail(format!("the token file {file} is empty")).hint(kube_trouble::TOKEN_FILE)),
        token if token.len() < text.len() => {
            auth.token = Some(token.to_owned().into());
            check_token(auth, at)
        }
        _ => Ok(()),
    }
}

async fn from_files(
    files: &[PathBuf],
    named_by: &str,
    context: Option<&str>,
) -> Result<(Config, String, Option<String>), Error> {
    let trouble = |file: String, error| kube_trouble::kubeconfig(&error, file, named_by);
    let all = files.iter().map(|file| stream::name(file)).collect::<Vec<_>>().join(", ");
    let mut merged = Kubeconfig::default();
    for file in files {
        let shown = stream::name(file);
        let _waiting = Waiting::on(file);
        let at = if stream::is_standard_input(file) { Path::new("/dev/stdin") } else { file.as_path() };
        let read = Kubeconfig::read_from(at).map_err(|e| trouble(shown.clone(), e))?;
        merged = merged.merge(read).map_err(|e| trouble(shown, e))?;
    }
    let known: Vec<String> = merged.contexts.iter().map(|context| context.name.clone()).collect();
    let name = context.map(str::to_owned).or_else(|| merged.current_context.clone()).filter(|name| !name.is_empty());
    let Some(name) = name.filter(|name| known.contains(name)) else {
        return Err(kube_trouble::context(context.or(merged.current_context.as_deref()), &known, all));
    };
    let own_proxy = take_proxy(&mut merged, &name);
    for cluster in merged.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // As kubectl has it: an empty one is none.
        cluster.certificate_authority_data = cluster.certificate_authority_data.take().filter(|data| !data.is_empty());
    }
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(merged, &options).await.map_err(|e| trouble(all.clone(), e))?;
    let user = who(&config.auth_info);
    Ok((config, format!("{all} ({named_by}), context {name}{user}"), own_proxy))
}

/// The proxy that the context's cluster names itself. In its place stands one that nobody uses, or the kube crate would
/// look into the environment.
fn take_proxy(kubeconfig: &mut Kubeconfig, context: &str) -> Option<String> {
    let context = kubeconfig.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter_mut().find(|named| named.name == context.cluster)?;
    cluster.cluster.as_mut()?.proxy_url.replace("http://unused".to_owned()).filter(|proxy| !proxy.is_empty())
}

/// How the user of a kubeconfig proves itself, in words.
fn who(auth: &AuthInfo) -> &'static str {
    if auth.exec.is_some() {
        ", a credential plugin"
    } else if auth.token.is_some() || auth.token_file.is_some() {
        ", a token"
    } else if auth.client_certificate.is_some() || auth.client_certificate_data.is_some() {
        ", a client certificate"
    } else {
        ""
    }
}

fn without_user(url: &http::Uri) -> String {
    let text = url.to_string();
    let bare = match (url.authority(), text.split_once("://")) {
        (Some(authority), Some((scheme, rest))) if authority.as_str().contains('@') => {
            let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
            format!("{scheme}://{rest}")
        }
        _ => text,
    };
    bare.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(kubeconfig: Option<&Path>, context: Option<&str>) -> KubeSettings {
        KubeSettings {
            kubeconfig: kubeconfig.map(Path::to_owned),
            context: context.map(str::to_owned),
            ..KubeSettings::default()
        }
    }

    #[test]
    fn the_first_place_that_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        let (flag, named) = (home.join("flag"), home.join("named"));
        let default = home.join(".kube/config");
        std::fs::write(&named, "").unwrap();
        let missing = home.join("missing");
        let list = std::env::join_paths([missing.as_path(), &named]).unwrap();
        let mut around = Surroundings {
            kubeconfig: Some(list),
            in_cluster: true,
            home: Some(home.clone()),
            ..Surroundings::default()
        };
        let files = |named_by, file: &Path| Some(Place::Files { named_by, files: vec![file.to_owned()] });

        let found = place(&settings(Some(&flag), None), &around).unwrap();
        assert_eq!(found, files("--kubeconfig", &flag));
        assert_eq!(place(&settings(None, None), &around).unwrap(), files("KUBECONFIG", &named));
        for unset in [None, Some(OsString::new())] {
            around.kubeconfig = unset;
            assert_eq!(place(&settings(None, None), &around).unwrap(), Some(Place::InCluster));
        }
        // A context is an entry of a file; the pod's account has none.
        assert!(place(&settings(None, Some("prod")), &around).unwrap_err().hint.contains("--kubeconfig"));
        std::fs::create_dir(home.join(".kube")).unwrap();
        std::fs::write(&default, "").unwrap();
        let found = place(&settings(None, Some("prod")), &around).unwrap();
        assert_eq!(found, files("the default", &default));
        around.in_cluster = false;
        assert_eq!(place(&settings(None, None), &around).unwrap(), files("the default", &default));
        around.home = Some(home.join("nobody"));
        assert_eq!(place(&settings(None, None), &around).unwrap(), None);
        around.kubeconfig = Some(missing.into_os_string());
        let error = place(&settings(None, None), &around).unwrap_err();
        assert!(error.at.contains("missing") && error.hint.contains("KUBECONFIG"));
    }

    #[test]
    fn a_server_is_shown_without_its_password() {
        let shown = |url: &'static str| without_user(&http::Uri::from_static(url));
        assert_eq!(shown("https://me:secret@10.0.0.1:6443/k8s/"), "https://10.0.0.1:6443/k8s");
        assert_eq!(shown("https://10.0.0.1:6443"), "https://10.0.0.1:6443");
    }
}
