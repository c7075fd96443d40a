//! Decides what the user wants of etcd, from three places.
//!
//! Precedence: flags (and their `IPAUDIT_…` variables), then calicoctl's environment variables, then its
//! configuration file, value by value. calicoctl itself lets an existing file win and ignores the environment;
//! an audit in a CronJob has no file and a person's one-off flag must count, so `-v` says what came from where.
//! [`resolve`] is pure: no file, no environment, no clock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::calicoctl::{ConfigFile, DEFAULT_PATH};
use super::settings::{CONCURRENCY, EtcdFlags, EtcdSettings, Origin, REQUEST_TIMEOUT, SMALL_FILE, Secret, Source};
use crate::environment::file::{Takes, read_text};
use crate::environment::stream;
use crate::error::Error;

/// Reads the environment and calicoctl's file, and decides.
///
/// # Errors
/// A file that was asked for and cannot be read, and everything that [`resolve`] refuses.
pub fn load(flags: &EtcdFlags, env: &dyn Fn(&str) -> Option<OsString>) -> Result<EtcdSettings, Error> {
    let asked = flags.config.as_deref().filter(|path| !path.is_empty());
    let path = asked.unwrap_or(DEFAULT_PATH);
    // Who names one may name a pipe; one that is found must not be waited for.
    let takes = if asked.is_some() { Takes::Anything } else { Takes::Files };
    let (file, note) = match read_text(Path::new(path), SMALL_FILE, takes) {
        Ok(text) => (Some(ConfigFile::parse(path, &text)?), None),
        Err(e) if asked.is_none() && e.kind() == std::io::ErrorKind::NotFound => (None, None),
        // Root's file on a machine where somebody else says everything by flags.
        Err(e) if asked.is_none() => (None, Some(format!("{path} was not used: {e}"))),
        Err(e) => {
            let hint = "--config (IPAUDIT_CONFIG) names calicoctl's configuration file";
            return Err(Error::configuration("read calicoctl's configuration")
                .at(stream::name(Path::new(path)))
                .cause(e)
                .hint(hint));
        }
    };
    let mut settings = resolve(flags, env, file.as_ref()).map_err(|mut error| {
        if let (Some(note), true) = (&note, error.cause.is_none()) {
            error.cause = Some(note.clone().into());
        }
        error
    })?;
    settings.notes.extend(note);
    Ok(settings)
}

/// Decides from flags, environment and file.
///
/// # Errors
/// No endpoint at all; endpoints and SRV discovery from the same place; the Kubernetes datastore; half a
/// client certificate; a user without password; a DNS server that is no address; a variable that is needed and no UTF-8.
pub fn resolve(
    flags: &EtcdFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
    file: Option<&ConfigFile>,
) -> Result<EtcdSettings, Error> {
    let pick = Picker { env, file };
    refuse_kubernetes(&pick)?;
    let mut settings = EtcdSettings::new(Vec::<String>::new());
    let origins = &mut settings.origins;
    let (endpoints, srv) = location(&pick, flags)?;
    let endpoints = keep(origins, "etcd endpoints", endpoints).unwrap_or_default();
    settings.endpoints = endpoints.split(',').map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned).collect();
    settings.discovery_srv = keep(origins, "etcd discovery domain", srv);
    settings.ca_cert = keep(origins, "etcd CA certificate", pick.pem(&flags.ca_cert, &CA_CERT)?);
    settings.cert = keep(origins, "etcd client certificate", pick.pem(&flags.cert, &CERT)?);
    settings.key = keep(origins, "etcd client key", pick.pem(&flags.key, &KEY)?);
    settings.username = keep(origins, "etcd user", pick.text(&flags.username, &USERNAME)?);
    settings.password = keep(origins, "etcd password", pick.password(&flags.password_file)?);
    if settings.endpoints.is_empty() && settings.discovery_srv.is_none() {
        let hint = "give --etcd-endpoints or ETCD_ENDPOINTS, or calicoctl's configuration file with --config";
        return Err(Error::user(NO_ENDPOINT).hint(hint));
    }
    check_pairs(&mut settings)?;
    if let Some((_, text)) = pick.variable(DNS_SERVER)? {
        let address = text.parse().map_err(|e| Error::configuration(format!("use {DNS_SERVER}={text}")).cause(e))?;
        settings.dns_server = Some(address);
    }
    settings.concurrency = flags.concurrency.unwrap_or(CONCURRENCY).clamp(1, 16);
    settings.gentle = flags.gentle;
    settings = settings.with_timeout(flags.timeout.unwrap_or(REQUEST_TIMEOUT));
    settings.notes.extend(file.iter().flat_map(|f| f.notes.clone()));
    Ok(settings)
}

/// What cannot be done where nobody says where etcd is.
const NO_ENDPOINT: &str = "find etcd: no endpoint is given";

/// Whether an error of [`load`] says no more than that.
pub fn is_not_given(error: &Error) -> bool {
    error.doing == NO_ENDPOINT
}

fn keep<T>(origins: &mut Vec<(&'static str, Origin)>, what: &'static str, found: Option<(Origin, T)>) -> Option<T> {
    let (origin, value) = found?;
    origins.push((what, origin));
    Some(value)
}

/// `IP:port` of a DNS server for SRV discovery.
pub const DNS_SERVER: &str = "IPAUDIT_DNS_SERVER";

/// The names of one value in all places.
struct ValueNames {
    flag: &'static str,
    own_env: &'static str,
    env: &'static str,
    /// In calicoctl's file; case does not count there.
    field: &'static str,
    /// The field that holds the text itself instead of a file's name.
    inline: &'static str,
}

const fn names(
    flag: &'static str,
    own_env: &'static str,
    env: &'static str,
    field: &'static str,
    inline: &'static str,
) -> ValueNames {
    ValueNames { flag, own_env, env, field, inline }
}

const ENDPOINTS: ValueNames =
    names("--etcd-endpoints", "IPAUDIT_ETCD_ENDPOINTS", "ETCD_ENDPOINTS", "etcdEndpoints", "");
const DISCOVERY_SRV: ValueNames =
    names("--etcd-discovery-srv", "IPAUDIT_ETCD_DISCOVERY_SRV", "ETCD_DISCOVERY_SRV", "etcdDiscoverySrv", "");
const CA_CERT: ValueNames =
    names("--etcd-ca-cert", "IPAUDIT_ETCD_CA_CERT", "ETCD_CA_CERT_FILE", "etcdCACertFile", "etcdCACert");
const CERT: ValueNames = names("--etcd-cert", "IPAUDIT_ETCD_CERT", "ETCD_CERT_FILE", "etcdCertFile", "etcdCert");
const KEY: ValueNames = names("--etcd-key", "IPAUDIT_ETCD_KEY", "ETCD_KEY_FILE", "etcdKeyFile", "etcdKey");
const USERNAME: ValueNames = names("--etcd-username", "IPAUDIT_ETCD_USERNAME", "ETCD_USERNAME", "etcdUsername", "");
const PASSWORD_FILE: ValueNames = names("--etcd-password-file", "IPAUDIT_ETCD_PASSWORD_FILE", "", "", "");
const PASSWORD: ValueNames = names("", "IPAUDIT_ETCD_PASSWORD", "ETCD_PASSWORD", "", "etcdPassword");

type Given = Option<(Origin, String)>;
type Found = Option<(Origin, Source)>;

fn inline((origin, text): (Origin, String)) -> (Origin, Source) {
    (origin, Source::Inline(Secret::new(text)))
}

fn in_file((origin, path): (Origin, String)) -> (Origin, Source) {
    (origin, Source::File(PathBuf::from(path)))
}

/// Looks a value up in the three places, in their order. An empty value is no value.
struct Picker<'a> {
    env: &'a dyn Fn(&str) -> Option<OsString>,
    file: Option<&'a ConfigFile>,
}

impl Picker<'_> {
    /// A plain text.
    fn text(&self, flag: &Option<String>, names: &ValueNames) -> Result<Given, Error> {
        Ok(self.given(flag, names)?.or_else(|| self.field(names.field)))
    }

    /// A file's name, or the text itself (in calicoctl's file alone).
    fn pem(&self, flag: &Option<String>, names: &ValueNames) -> Result<Found, Error> {
        Ok(self.text(flag, names)?.map(in_file).or_else(|| self.field(names.inline).map(inline)))
    }

    fn password(&self, flag: &Option<String>) -> Result<Found, Error> {
        match self.given(flag, &PASSWORD_FILE)? {
            Some(path) => Ok(Some(in_file(path))),
            None => Ok(self.given(&None, &PASSWORD)?.or_else(|| self.field(PASSWORD.inline)).map(inline)),
        }
    }

    /// Flag or environment. The command line's parser has already looked into the flag's own variable; whoever
    /// has no such parser gets the same answer.
    fn given(&self, flag: &Option<String>, names: &ValueNames) -> Result<Given, Error> {
        match flag.as_deref().filter(|text| !text.is_empty()) {
            Some(text) if (self.env)(names.own_env).is_some_and(|own| own == text) => self.variable(names.own_env),
            Some(text) => Ok(Some((Origin::Flag(names.flag), text.to_owned()))),
            None => match self.variable(names.own_env)? {
                None => self.variable(names.env),
                own => Ok(own),
            },
        }
    }

    /// A variable that is set and is no text is not absent.
    fn variable(&self, name: &'static str) -> Result<Given, Error> {
        let value = (self.env)(name).filter(|value| !name.is_empty() && !value.is_empty()).map(OsString::into_string);
        let value = value.transpose().map_err(|_| {
            let hint = "set it to text in UTF-8, or unset it";
            Error::configuration(format!("use {name}")).cause("it is no UTF-8").hint(hint)
        })?;
        Ok(value.map(|value| (Origin::Environment(name), value)))
    }

    fn field(&self, name: &str) -> Given {
        let file = self.file?;
        Some((Origin::File(file.path.clone()), file.get(name)?.to_owned()))
    }
}

/// Endpoints or discovery domain: two spellings of one value, so the higher place wins; both at one place is an
/// error, as in calicoctl.
fn location(pick: &Picker<'_>, flags: &EtcdFlags) -> Result<(Given, Given), Error> {
    let rank = |found: &Given| match found {
        Some((Origin::Flag(_), _)) => 0,
        Some((Origin::Environment(name), _)) if name.starts_with("IPAUDIT_") => 0,
        Some((Origin::Environment(_), _)) => 1,
        Some((Origin::File(_), _)) => 2,
        None => 3,
    };
    let endpoints = pick.text(&flags.endpoints, &ENDPOINTS)?;
    let srv = pick.text(&flags.discovery_srv, &DISCOVERY_SRV)?;
    match (&endpoints, &srv) {
        (Some((one, _)), Some((other, _))) if rank(&endpoints) == rank(&srv) => {
            let text = format!("use both endpoints ({one}) and SRV discovery ({other})");
            let error = if rank(&srv) == 0 { Error::user(text) } else { Error::configuration(text) };
            Err(error.hint("give either etcd's endpoints or the domain to discover them"))
        }
        _ if rank(&endpoints) < rank(&srv) => Ok((endpoints, None)),
        _ => Ok((None, srv)),
    }
}

/// Calico on the Kubernetes datastore keeps nothing in this etcd: reading there would find an empty world.
fn refuse_kubernetes(pick: &Picker<'_>) -> Result<(), Error> {
    let Some((origin, datastore)) = pick.variable("DATASTORE_TYPE")?.or_else(|| pick.field("datastoreType")) else {
        return Ok(());
    };
    let hint = "ipaudit reads Calico's etcdv3 datastore; if this cluster has one, set DATASTORE_TYPE=etcdv3";
    match datastore.as_str() {
        "etcdv3" => Ok(()),
        other => {
            Err(Error::configuration(format!("audit a datastore of type {other:?}")).at(origin.to_string()).hint(hint))
        }
    }
}

fn check_pairs(settings: &mut EtcdSettings) -> Result<(), Error> {
    let half = match (&settings.cert, &settings.key) {
        (Some(_), None) => Some("a client certificate without its key"),
        (None, Some(_)) => Some("a client key without its certificate"),
        _ => None,
    };
    if let Some(half) = half {
        let hint = "--etcd-cert and --etcd-key (ETCD_CERT_FILE, ETCD_KEY_FILE) belong together";
        return Err(Error::configuration(format!("use {half}")).hint(hint));
    }
    if settings.username.is_some() && settings.password.is_none() {
        let hint = "give --etcd-password-file or ETCD_PASSWORD, or no user";
        return Err(Error::configuration("log in to etcd: a user without a password").hint(hint));
    }
    if settings.username.is_none() && settings.password.take().is_some() {
        settings.notes.push("an etcd password without a user is not used".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    fn file(spec: &str) -> ConfigFile {
        let head = "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec:\n";
        ConfigFile::parse("calicoctl.cfg", &format!("{head}{spec}")).unwrap()
    }

    fn decide(flags: EtcdFlags, env: &[(&str, &str)], spec: &str) -> Result<EtcdSettings, Error> {
        let file = (!spec.is_empty()).then(|| file(spec));
        let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into());
        resolve(&flags, &lookup, file.as_ref())
    }

    fn flags(set: impl FnOnce(&mut EtcdFlags)) -> EtcdFlags {
        let mut flags = EtcdFlags::default();
        set(&mut flags);
        flags
    }

    fn text(source: &Option<Source>) -> String {
        match source {
            Some(Source::File(path)) => format!("file {}", path.display()),
            Some(Source::Inline(secret)) => secret.expose().to_owned(),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn flags_beat_the_environment_and_that_the_file_value_by_value() {
        let spec =
            "  etcdEndpoints: http://file:1\n  etcdUsername: file\n  etcdPassword: file\n  etcdCACertFile: /file/ca\n";
        let env = [("ETCD_ENDPOINTS", "http://env:1, http://env:2,"), ("ETCD_USERNAME", "env"), ("ETCD_PASSWORD", "")];
        let given = flags(|f| f.endpoints = Some("http://flag:1".into()));
        let settings = decide(given, &env, spec).unwrap();
        assert_eq!(settings.endpoints, ["http://flag:1"]);
        assert_eq!(settings.username.as_deref(), Some("env"));
        assert_eq!((text(&settings.password), text(&settings.ca_cert)), ("file".into(), "file /file/ca".into()));
        assert_eq!(
            settings.explain(),
            [
                "etcd endpoints from --etcd-endpoints",
                "etcd CA certificate from calicoctl.cfg",
                "etcd user from ETCD_USERNAME",
                "etcd password from calicoctl.cfg",
            ]
        );
        assert_eq!(decide(EtcdFlags::default(), &env, spec).unwrap().endpoints, ["http://env:1", "http://env:2"]);
        assert_eq!(decide(EtcdFlags::default(), &[], spec).unwrap().endpoints, ["http://file:1"]);
    }

    #[test]
    fn our_own_variables_beat_calicoctls() {
        let env = [
            ("IPAUDIT_ETCD_ENDPOINTS", "http://ours:1"),
            ("ETCD_ENDPOINTS", "http://theirs:1"),
            ("IPAUDIT_ETCD_USERNAME", "me"),
            ("IPAUDIT_ETCD_PASSWORD", "ours"),
            ("ETCD_PASSWORD", "theirs"),
        ];
        for given in [EtcdFlags::default(), flags(|f| f.endpoints = Some("http://ours:1".into()))] {
            let settings = decide(given, &env, "").unwrap();
            assert_eq!(
                (settings.endpoints.as_slice(), text(&settings.password)),
                (&["http://ours:1".to_owned()][..], "ours".into())
            );
            assert_eq!(settings.explain()[0], "etcd endpoints from IPAUDIT_ETCD_ENDPOINTS");
        }
        let given = flags(|f| f.password_file = Some("/secret".into()));
        assert_eq!(text(&decide(given, &env, "").unwrap().password), "file /secret");
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_no_utf8_is_not_passed_over() {
        use std::os::unix::ffi::OsStringExt as _;
        let spec = file("  etcdEndpoints: http://file:1\n");
        for name in ["ETCD_ENDPOINTS", "IPAUDIT_ETCD_ENDPOINTS", "ETCD_PASSWORD", "ETCD_CA_CERT_FILE", "DATASTORE_TYPE"]
        {
            let env = |asked: &str| (asked == name).then(|| OsString::from_vec(b"hunter2\xff".to_vec()));
            let error = resolve(&EtcdFlags::default(), &env, Some(&spec)).unwrap_err();
            let told = format!("{} {error:?}", chain(&error));
            assert!(told.contains(name) && told.contains("no UTF-8") && !told.contains("hunter2"), "{told}");
        }
        // What a flag says more surely is not asked for.
        let env = |asked: &str| asked.ends_with("ETCD_ENDPOINTS").then(|| OsString::from_vec(vec![0xff]));
        let settings = resolve(&flags(|f| f.endpoints = Some("http://flag:1".into())), &env, None).unwrap();
        assert_eq!(settings.endpoints, ["http://flag:1"]);
    }

    #[test]
    fn endpoints_and_discovery_are_one_setting() {
        let both = [("ETCD_ENDPOINTS", "http://a:1"), ("ETCD_DISCOVERY_SRV", "example.org")];
        let error = chain(&decide(EtcdFlags::default(), &both, "").unwrap_err());
        assert!(error.contains("ETCD_ENDPOINTS") && error.contains("ETCD_DISCOVERY_SRV"), "{error}");
        let spec = "  etcdEndpoints: http://a:1\n  etcdDiscoverySrv: example.org\n";
        assert!(decide(EtcdFlags::default(), &[], spec).is_err());
        let settings = decide(flags(|f| f.discovery_srv = Some("flag.org".into())), &both[..1], spec).unwrap();
        assert_eq!((settings.discovery_srv.as_deref(), settings.endpoints.len()), (Some("flag.org"), 0));
        let settings = decide(flags(|f| f.endpoints = Some("http://b:1".into())), &both, spec).unwrap();
        assert_eq!((settings.discovery_srv, settings.endpoints.len()), (None, 1));
    }

    #[test]
    fn the_kubernetes_datastore_is_refused() {
        let endpoints = ("ETCD_ENDPOINTS", "http://a:1");
        let told = |env: &[(&str, &str)], spec: &str| decide(EtcdFlags::default(), env, spec).unwrap_err();
        let error = told(&[endpoints, ("DATASTORE_TYPE", "kubernetes")], "");
        assert!(error.hint.contains("etcdv3 datastore") && chain(&error).contains("DATASTORE_TYPE"), "{error:?}");
        let error = told(&[endpoints], "  datastoreType: kubernetes\n");
        assert!(chain(&error).contains("calicoctl.cfg"), "{error:?}");
        let etcd = [endpoints, ("DATASTORE_TYPE", "etcdv3")];
        assert!(decide(EtcdFlags::default(), &etcd, "  datastoreType: kubernetes\n").is_ok());
    }

    #[test]
    fn halves_are_refused() {
        let endpoints = ("ETCD_ENDPOINTS", "http://a:1");
        let told = |env: (&'static str, &'static str)| {
            chain(&decide(EtcdFlags::default(), &[endpoints, env], "").unwrap_err())
        };
        assert!(told(("ETCD_CERT_FILE", "/c")).contains("without its key"));
        assert!(told(("ETCD_KEY_FILE", "/k")).contains("without its certificate"));
        assert!(told(("ETCD_USERNAME", "me")).contains("without a password"));
        assert!(told((DNS_SERVER, "nowhere")).contains("IPAUDIT_DNS_SERVER=nowhere"));
        let settings = decide(EtcdFlags::default(), &[endpoints, ("ETCD_PASSWORD", "hunter2")], "").unwrap();
        assert!(settings.password.is_none() && settings.notes.len() == 1, "{settings:?}");
        let nothing = decide(EtcdFlags::default(), &[("ETCD_ENDPOINTS", " , ")], "").unwrap_err();
        assert!(nothing.hint.contains("--etcd-endpoints"), "{nothing:?}");
    }

    #[test]
    fn secrets_are_never_printed() {
        let spec = "  etcdEndpoints: https://a:1\n  etcdUsername: me\n  etcdPassword: hunter2\n  etcdKey: hunter2\n  etcdCert: hunter2\n  etcdCACert: hunter2\n";
        let settings = decide(EtcdFlags::default(), &[], spec).unwrap();
        assert_eq!(text(&settings.key), "hunter2");
        let shown = format!("{settings:?} {:?} {:?}", settings.explain(), Secret::new("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let given = flags(|f| f.config = Some("/no/such/file.cfg".into()));
        let error = load(&given, &|name| (name == "ETCD_ENDPOINTS").then(|| "http://a:1".into())).unwrap_err();
        assert_eq!((error.at.as_str(), error.hint.is_empty()), ("/no/such/file.cfg", false));
    }
}
