//! An etcd of three members: elections, a member that is replaced, a learner.
//!
//! Without TLS and authentication, which one member shows as well. Ports are as uncertain as those of
//! [`super::Etcd`]: a member's name is random, and a cluster whose ports were taken does not come up.

use std::sync::Mutex;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, MemberAddOptions, Txn, TxnOp};
use tempfile::TempDir;

use super::etcd::EtcdVersion;
use super::process::{Server, etcd_command};
use super::{block_on, eventually, free_port, poll, unique_name};

const WITHIN: Duration = Duration::from_secs(60);

/// A running cluster.
pub struct EtcdCluster {
    version: EtcdVersion,
    token: String,
    pub members: Vec<Member>,
}

/// One of its members.
pub struct Member {
    name: String,
    port: u16,
    peer_port: u16,
    server: Mutex<Option<Server>>,
    /// Declared after the server: fields drop in order, the server goes first.
    folder: TempDir,
}

impl Member {
    fn new() -> Member {
        let folder = tempfile::Builder::new().prefix("ipaudit-etcd-").tempdir().expect("a temporary folder");
        let name = unique_name("etcd");
        Member { name, port: free_port(), peer_port: free_port(), server: Mutex::new(None), folder }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// `name=peer URL`, as `--initial-cluster` wants it.
    fn initial(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }

    pub fn client(&self) -> Client {
        let options = ConnectOptions::new().with_connect_timeout(Duration::from_secs(5)).with_timeout(WITHIN);
        block_on(Client::connect([self.endpoint()], Some(options))).expect("a connection to our etcd")
    }

    /// A member's own words, a learner's too: its id, the leader's, and the term.
    fn status(&self) -> Option<(u64, u64, u64)> {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let status = block_on(self.client().status()).ok()?;
        let header = status.header()?;
        Some((header.member_id(), status.leader(), header.raft_term()))
    }

    fn log(&self) -> String {
        self.server.lock().unwrap().as_ref().map(Server::log_tail).unwrap_or_default()
    }

    fn kill(&self) {
        if let Some(mut server) = self.server.lock().unwrap().take() {
            server.kill();
        }
    }
}

impl EtcdCluster {
    /// Three members, all up.
    pub fn start(version: EtcdVersion) -> EtcdCluster {
        let members = (0..3).map(|_| Member::new()).collect();
        let cluster = EtcdCluster { version, token: unique_name("token"), members };
        let initial = cluster.initial();
        cluster.members.iter().for_each(|member| cluster.spawn(member, &initial, "new"));
        cluster.settled();
        cluster
    }

    fn initial(&self) -> String {
        self.members.iter().map(Member::initial).collect::<Vec<_>>().join(",")
    }

    fn spawn(&self, member: &Member, initial: &str, state: &str) {
        let mut command = etcd_command(&self.version.binaries().etcd);
        command
            .args(["--name", &member.name])
            .arg("--data-dir")
            .arg(member.folder.path().join("data"))
            .args(["--listen-client-urls", &member.endpoint()])
            .args(["--advertise-client-urls", &member.endpoint()])
            .args(["--listen-peer-urls", &member.peer_url()])
            .args(["--initial-advertise-peer-urls", &member.peer_url()])
            .args(["--initial-cluster", initial])
            .args(["--initial-cluster-token", &self.token])
            .args(["--initial-cluster-state", state])
            // So that a member that was away soon needs a snapshot of the leader's.
            .args(["--snapshot-count=50", "--logger=zap", "--log-level=warn"]);
        if self.version == EtcdVersion::V3_7 {
            command.args(["--unsafe-no-fsync", "--snapshot-catchup-entries=5"]);
        }
        let log = member.folder.path().join("etcd.log");
        *member.server.lock().unwrap() = Some(Server::spawn(command, &log).expect("etcd starts"));
    }

    /// Waits until every member knows one leader of them.
    fn settled(&self) {
        let agreed = || {
            let told = self.members.iter().map(Member::status).collect::<Option<Vec<_>>>()?;
            let leader = told.first()?.1;
            (leader != 0 && told.iter().all(|(_, other, _)| *other == leader)).then_some(())
        };
        if poll(WITHIN, agreed).is_none() {
            let logs = self.members.iter().map(|m| format!("{}: {}", m.name, m.log())).collect::<Vec<_>>();
            panic!("the members do not agree on a leader:\n{}", logs.join("\n"));
        }
    }

    /// All endpoints, as `--etcd-endpoints` takes them.
    pub fn endpoints(&self) -> String {
        self.members.iter().map(Member::endpoint).collect::<Vec<_>>().join(",")
    }

    /// The place of the leader.
    pub fn leader(&self) -> usize {
        let is_leader = |m: &Member| m.status().is_some_and(|(id, leader, _)| id == leader);
        self.members.iter().position(is_leader).expect("a leader")
    }

    pub fn raft_term(&self) -> u64 {
        self.members.first().and_then(Member::status).expect("a member that answers").2
    }

    /// Another member leads from now on, and nobody was stopped.
    pub fn move_leader(&self) {
        let leader = self.leader();
        let (other, ..) = self.members[(leader + 1) % self.members.len()].status().expect("a member that answers");
        block_on(self.members[leader].client().move_leader(other)).expect("move the leader");
        eventually("another member leads", WITHIN, || self.members[leader].status().is_some_and(|s| s.1 == other));
        self.settled();
    }

    /// The leader dies; the others elect another one, and it comes back.
    pub fn lose_the_leader(&self) {
        let leader = &self.members[self.leader()];
        leader.kill();
        let others = || self.members.iter().filter(|m| m.name != leader.name);
        let elected = || others().all(|m| m.status().is_some_and(|(_, leads, _)| leads != 0));
        eventually("the others have a leader", WITHIN, elected);
        self.spawn(leader, &self.initial(), "existing");
        self.settled();
    }

    /// A member is taken out for good, and a new one with an empty disk comes in its place.
    pub fn replace_a_member(&mut self) {
        let place = (self.leader() + 1) % self.members.len();
        let (id, ..) = self.members[place].status().expect("a member that answers");
        let gone = self.members.remove(place);
        gone.kill();
        // Refused while a member counts as unhealthy.
        eventually("the member is taken out", WITHIN, || {
            let mut client = self.members[self.leader()].client();
            block_on(client.member_remove(id)).is_ok()
        });
        self.join(false);
    }

    /// A member that follows and has no vote.
    pub fn add_a_learner(&mut self) {
        self.join(true);
    }

    fn join(&mut self, learner: bool) {
        let member = Member::new();
        eventually("the member is let in", WITHIN, || {
            let mut client = self.members[self.leader()].client();
            let options = learner.then(|| MemberAddOptions::new().with_is_learner());
            block_on(client.member_add([member.peer_url()], options)).is_ok()
        });
        let initial = format!("{},{}", self.initial(), member.initial());
        self.spawn(&member, &initial, "existing");
        self.members.push(member);
        self.settled();
    }

    /// A follower is away during an election and many writes, and then gets the leader's snapshot instead of them. Its
    /// endpoint. Nobody writes afterwards.
    pub fn catch_up_by_snapshot(&self) -> String {
        let leader = self.leader();
        let place = (leader + 1) % self.members.len();
        let (away, other) = (&self.members[place], &self.members[(leader + 2) % self.members.len()]);
        let freeze = |yes: bool| {
            let server = away.server.lock().unwrap();
            let server = server.as_ref().expect("a running member");
            if yes { server.freeze() } else { server.thaw() }
        };
        freeze(true);
        let (id, ..) = other.status().expect("a member that answers");
        block_on(self.members[leader].client().move_leader(id)).expect("move the leader");
        eventually("another member leads", WITHIN, || other.status().is_some_and(|(id, leads, _)| id == leads));
        // 3.4 keeps 5,000 entries for those who are late.
        let writes = if self.version == EtcdVersion::V3_7 { 300 } else { 6_000 };
        let client = other.client();
        block_on(async {
            let mut flight = tokio::task::JoinSet::new();
            for n in 0..64 {
                let mut client = client.clone();
                flight.spawn(async move {
                    for _ in 0..writes / 64 + 1 {
                        client.put(format!("/another/tenant/{n}"), "writes", None).await.expect("a put");
                    }
                });
            }
            flight.join_all().await;
        });
        freeze(false);
        let revision = || {
            let options = etcd_client::GetOptions::new().with_serializable();
            let answer = block_on(away.client().get("revision", Some(options))).ok()?;
            Some(answer.header()?.revision())
        };
        let target = block_on(other.client().get("revision", None)).expect("revision");
        let target = target.header().expect("a header").revision();
        eventually("the member has caught up", WITHIN, || revision() == Some(target));
        away.endpoint()
    }

    /// In one transaction each: what a test has under `/calico` is small.
    pub fn put_many(&self, pairs: &[(Vec<u8>, Vec<u8>)]) {
        let mut client = self.members[self.leader()].client();
        for some in pairs.chunks(100) {
            let ops: Vec<TxnOp> = some.iter().map(|(k, v)| TxnOp::put(k.clone(), v.clone(), None)).collect();
            block_on(client.txn(Txn::new().and_then(ops))).expect("put_many");
        }
    }

    /// The revision of the store now.
    pub fn revision(&self) -> i64 {
        let answer = block_on(self.members[self.leader()].client().get("revision", None)).expect("revision");
        answer.header().expect("a header").revision()
    }

    /// Forgets everything before now.
    pub fn compact(&self) {
        let revision = self.revision();
        block_on(self.members[self.leader()].client().compact(revision, None)).expect("compact");
    }

    /// Every member gives free space of its file back.
    pub fn defragment(&self) {
        self.members.iter().for_each(|m| _ = block_on(m.client().defragment()).expect("defragment"));
    }
}
