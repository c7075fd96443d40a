//! One etcd of our own: started, frozen, killed, restarted, saved, restored.
//!
//! Its ports come from binding port 0, so another program may take them before
//! etcd does; then whatever answers there is not ours. Two guards: the member
//! that answers must have the random name we gave, and our child must live.
//! A lost port at the first start means other ports and another try.
//!
//! What tests do with the content is in `etcd_data.rs`; backups are in
//! `etcd_snapshot.rs`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use tempfile::TempDir;

use super::binaries::{self, EtcdBinaries};
use super::etcd_users::ROOT;
use super::process::{Server, etcd_command};
use super::proxy::Proxy;
use super::tls::Tls;
use super::{block_on, free_port, poll, unique_name};

const READY_WITHIN: Duration = Duration::from_secs(90);
/// Enough for a loaded machine, short enough to see a frozen server in a test.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The two ends of what Calico clusters run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdVersion {
    V3_4,
    V3_7,
}

impl EtcdVersion {
    pub(super) fn binaries(self) -> &'static EtcdBinaries {
        match self {
            EtcdVersion::V3_4 => binaries::etcd_3_4(),
            EtcdVersion::V3_7 => binaries::etcd_3_7(),
        }
        .expect("etcd is installed; a test asks with need! first")
    }
}

/// How an [`Etcd`] is started.
#[derive(Debug, Clone)]
pub struct EtcdBuilder {
    version: EtcdVersion,
    tls: bool,
    auth: bool,
    snapshot: Option<PathBuf>,
    flags: Vec<String>,
}

impl EtcdBuilder {
    /// Serves TLS and demands a client certificate ([`Etcd::tls`]).
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Turns authentication on, with the users of `etcd_data`.
    pub fn auth(mut self) -> Self {
        self.auth = true;
        self
    }

    /// Raft entries between two snapshots of etcd's own.
    pub fn snapshot_count(self, entries: u64) -> Self {
        self.flag(format!("--snapshot-count={entries}"))
    }

    /// The size at which etcd is full, in bytes; etcd itself wants a few hundred thousand.
    pub fn quota(self, bytes: u64) -> Self {
        self.flag(format!("--quota-backend-bytes={bytes}"))
    }

    /// Not started yet: for a member that somebody else must know first.
    pub(super) fn prepared(self) -> Etcd {
        Etcd::prepare(&self)
    }

    /// Any other flag of etcd.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts from a file of [`Etcd::snapshot_save`], as a new cluster.
    pub fn restored_from(mut self, file: &Path) -> Self {
        self.snapshot = Some(file.to_path_buf());
        self
    }

    pub fn start(self) -> Etcd {
        for _ in 0..5 {
            let etcd = Etcd::prepare(&self);
            if let Some(file) = &self.snapshot {
                etcd.unpack(file);
            }
            etcd.spawn();
            // Not yet as root: the users are made below, unless the snapshot has
            // them.
            *etcd.as_root.lock().unwrap() = self.auth && self.snapshot.is_some();
            match etcd.wait_ready() {
                Ok(()) => {
                    if self.auth && self.snapshot.is_none() {
                        etcd.enable_auth();
                    }
                    return etcd;
                }
                Err(Trouble::PortTaken) => continue,
                Err(Trouble::Other(why)) => panic!("etcd {:?}: {why}", self.version),
            }
        }
        panic!("etcd {:?}: five times its ports were taken", self.version);
    }
}

enum Trouble {
    PortTaken,
    Other(String),
}

/// A running etcd of one member.
pub struct Etcd {
    pub(super) version: EtcdVersion,
    pub(super) name: String,
    pub(super) token: String,
    port: u16,
    peer_port: u16,
    flags: Vec<String>,
    pub(super) tls: Option<Tls>,
    pub(super) as_root: Mutex<bool>,
    server: Mutex<Option<Server>>,
    client: Mutex<Option<Client>>,
    /// Declared after the server: fields drop in order, the server goes first.
    pub(super) folder: TempDir,
}

impl Etcd {
    /// Plain, without authentication, empty.
    pub fn start(version: EtcdVersion) -> Etcd {
        Etcd::builder(version).start()
    }

    pub fn builder(version: EtcdVersion) -> EtcdBuilder {
        EtcdBuilder { version, tls: false, auth: false, snapshot: None, flags: Vec::new() }
    }

    fn prepare(builder: &EtcdBuilder) -> Etcd {
        let folder = tempfile::Builder::new().prefix("ipaudit-etcd-").tempdir().expect("a temporary folder");
        Etcd {
            version: builder.version,
            name: unique_name("etcd"),
            token: unique_name("token"),
            port: free_port(),
            peer_port: free_port(),
            flags: builder.flags.clone(),
            tls: builder.tls.then(|| Tls::create(&folder.path().join("tls"))),
            as_root: Mutex::new(false),
            server: Mutex::new(None),
            client: Mutex::new(None),
            folder,
        }
    }

    pub fn version(&self) -> EtcdVersion {
        self.version
    }

    /// The same member as another version's, stopped.
    pub(super) fn of_version(self, version: EtcdVersion) -> Etcd {
        Etcd { version, ..self }
    }

    /// `http://127.0.0.1:port`, or https.
    pub fn endpoint(&self) -> String {
        self.endpoint_at(&self.address())
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificates, when started with [`EtcdBuilder::tls`].
    pub fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("etcd was started with tls()")
    }

    /// A proxy in front of this etcd, and the endpoint to give to ipaudit.
    pub fn behind_proxy(&self) -> (Proxy, String) {
        let proxy = Proxy::start(&self.address());
        let endpoint = self.endpoint_at(&proxy.address());
        (proxy, endpoint)
    }

    pub fn pid(&self) -> u32 {
        self.running().as_ref().expect("a running etcd").pid()
    }

    /// Stops answering without closing anything (SIGSTOP).
    pub fn freeze(&self) {
        self.running().as_ref().expect("a running etcd").freeze();
    }

    pub fn thaw(&self) {
        self.running().as_ref().expect("a running etcd").thaw();
    }

    /// SIGKILL; the data stay. Go on with [`Etcd::start_again`].
    pub fn kill(&self) {
        *self.client.lock().unwrap() = None;
        if let Some(mut server) = self.running().take() {
            server.kill();
        }
    }

    /// On the same data and ports, after [`Etcd::kill`].
    pub fn start_again(&self) {
        assert!(self.running().is_none(), "etcd still runs");
        self.spawn();
        match self.wait_ready() {
            Ok(()) => {}
            Err(Trouble::PortTaken) => panic!("etcd's port was taken between stop and start"),
            Err(Trouble::Other(why)) => panic!("etcd does not come back: {why}"),
        }
    }

    /// A clean stop and start on the same data and ports.
    pub fn restart(&self) {
        *self.client.lock().unwrap() = None;
        if let Some(mut server) = self.running().take() {
            server.stop(Duration::from_secs(5));
        }
        self.start_again();
    }

    /// A new connection, as root when authentication is on.
    pub fn connect(&self) -> Result<Client, etcd_client::Error> {
        let mut options = ConnectOptions::new().with_connect_timeout(Duration::from_secs(5)).with_timeout(CALL_TIMEOUT);
        if let Some(tls) = &self.tls {
            let identity = Identity::from_pem(tls.client.cert_pem(), tls.client.key_pem());
            options = options
                .with_tls(TlsOptions::new().ca_certificate(Certificate::from_pem(tls.ca_pem())).identity(identity));
        }
        if *self.as_root.lock().unwrap() {
            options = options.with_user(ROOT.name, ROOT.password);
        }
        block_on(Client::connect([self.endpoint()], Some(options)))
    }

    /// The kept connection (cheap to clone), for calls that have no helper here.
    pub fn client(&self) -> Client {
        let mut kept = self.client.lock().unwrap();
        kept.get_or_insert_with(|| self.connect().expect("a connection to our etcd")).clone()
    }

    /// From now on connections are root's.
    pub(super) fn become_root(&self) {
        *self.as_root.lock().unwrap() = true;
        *self.client.lock().unwrap() = None;
    }

    fn endpoint_at(&self, address: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// Where the members talk to each other; no client is answered there.
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// Starts as a member of another one's cluster, to which it was added. Flags that come again win.
    pub(super) fn follow(&mut self, other: &Etcd) {
        let cluster = format!("{}={},{}={}", other.name, other.peer_url(), self.name, self.peer_url());
        self.flags.push(format!("--initial-cluster={cluster}"));
        self.flags.push("--initial-cluster-state=existing".to_owned());
        self.flags.push(format!("--initial-cluster-token={}", other.token));
        self.spawn();
    }

    pub(super) fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn running(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn spawn(&self) {
        let mut command = etcd_command(&self.version.binaries().etcd);
        command
            .args(["--name", &self.name])
            .arg("--data-dir")
            .arg(self.data_folder())
            .args(["--listen-client-urls", &self.endpoint()])
            .args(["--advertise-client-urls", &self.endpoint()])
            .args(["--listen-peer-urls", &self.peer_url()])
            .args(["--initial-advertise-peer-urls", &self.peer_url()])
            .arg("--initial-cluster")
            .arg(format!("{}={}", self.name, self.peer_url()))
            .args(["--initial-cluster-token", &self.token])
            // Passwords hashed 64 times cheaper than by default.
            .args(["--bcrypt-cost=4", "--logger=zap", "--log-level=warn"]);
        if self.version == EtcdVersion::V3_7 {
            command.arg("--unsafe-no-fsync");
        }
        if let Some(tls) = &self.tls {
            command
                .arg("--client-cert-auth")
                .arg("--trusted-ca-file")
                .arg(&tls.ca)
                .arg("--cert-file")
                .arg(&tls.server.cert)
                .arg("--key-file")
                .arg(&tls.server.key);
        }
        command.args(&self.flags);
        let log = self.folder.path().join("etcd.log");
        *self.running() = Some(Server::spawn(command, &log).expect("etcd starts"));
    }

    fn wait_ready(&self) -> Result<(), Trouble> {
        let mut last = String::new();
        let outcome = poll(READY_WITHIN, || {
            let mut running = self.running();
            let server = running.as_mut().expect("a started etcd");
            if let Some(status) = server.exited() {
                let trouble = match server.lost_its_port() {
                    true => Trouble::PortTaken,
                    false => Trouble::Other(format!("{status}\n{}", server.log_tail())),
                };
                return Some(Err(trouble));
            }
            match self.name_of_answering() {
                Ok(name) if name == self.name => Some(Ok(())),
                Ok(_) => Some(Err(Trouble::PortTaken)),
                Err(why) => {
                    last = why.to_string();
                    None
                }
            }
        });
        outcome.unwrap_or_else(|| {
            let mut running = self.running();
            let server = running.as_mut().expect("a started etcd");
            Err(Trouble::Other(format!("not ready: {last}\n{}", server.log_tail())))
        })
    }

    /// Reads a key first: a member answers questions about itself before it has
    /// a leader.
    fn name_of_answering(&self) -> Result<String, etcd_client::Error> {
        // Cheaper than a connect that waits for its own timeout.
        std::net::TcpStream::connect(self.address()).map_err(|e| etcd_client::Error::Internal(e.to_string()))?;
        let mut client = self.connect()?;
        block_on(async {
            client.get("ready", None).await?;
            let members = client.member_list().await?;
            let name = members.members().first().map(|m| m.name().to_owned());
            Ok(name.unwrap_or_default())
        })
    }
}
