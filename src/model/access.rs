//! What a user may read and write, as far as the servers tell: one [`Right`] a line of `check-access`.

use serde::Serialize;

use super::Time;
use super::etcd::EtcdStatus;
use super::foreign::Foreign;
use super::word::words;

/// Who grants a right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Granter {
    Etcd,
    Kubernetes,
    /// The file system, where the history lies.
    History,
}

words!(Granter { Etcd = "etcd", Kubernetes = "kubernetes", History = "history" });

/// What a right is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Read,
    Write,
    /// Nothing: it is told for what it says.
    Nothing,
}

words!(Need { Read = "read", Write = "write", Nothing = "nothing" });

/// What came of trying or asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Granted,
    /// The server is there and refuses us.
    Refused,
    /// Nobody answers, or what answers is something else.
    Unreachable,
    /// Nobody who may be asked can tell.
    Unknown,
    /// Nobody said whom to ask.
    NotAsked,
}

words!(Access {
    Granted = "ok",
    Refused = "forbidden",
    Unreachable = "unreachable",
    Unknown = "unknown",
    NotAsked = "not asked",
});

/// One thing that is to be read or written, and whether it may.
#[derive(Clone, Debug, Serialize)]
pub struct Right {
    pub granter: Granter,
    /// In few words: `blocks`, `list pods`, `write handles`. Unique beside its target.
    pub right: String,
    /// The key, prefix (ending in `*`), endpoints, server or file.
    pub target: String,
    /// What it is wanted for.
    pub need: Need,
    pub state: Access,
    /// What the server said, and how we know.
    pub detail: Foreign,
    /// What to do about it; empty where there is nothing to do, or no idea.
    pub hint: String,
}

impl Right {
    /// A right that is granted, until somebody says otherwise.
    pub fn new(granter: Granter, need: Need, right: impl Into<String>, target: impl Into<String>) -> Right {
        let (right, target) = (right.into(), target.into());
        Right { granter, right, target, need, state: Access::Granted, detail: Foreign::default(), hint: String::new() }
    }

    /// How it stands with it, and what is to be said of that.
    #[must_use]
    pub fn is(mut self, state: Access, detail: impl Into<Box<str>>, hint: impl Into<String>) -> Right {
        (self.state, self.detail, self.hint) = (state, Foreign::from(detail), hint.into());
        self
    }

    /// Whether a command lacks it.
    pub fn is_missing(&self) -> bool {
        self.need != Need::Nothing && self.state != Access::Granted
    }
}

/// Whether etcd asks who one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authentication {
    On,
    Off,
    Unknown,
}

words!(Authentication { On = "on", Off = "off", Unknown = "unknown" });

/// What etcd told of the user that we are to it.
#[derive(Clone, Debug, Serialize)]
pub struct EtcdUser {
    pub authentication: Authentication,
    /// How we know.
    pub known_by: String,
    /// The name by which we log in, else the client certificate's common name; `None`: neither.
    pub user: Option<Foreign>,
    /// `None`: not told.
    pub roles: Option<Vec<Foreign>>,
    /// Whether it may write what a release writes: all of it, none or a part (`false`), or nobody can tell.
    pub may_write: Option<bool>,
    /// How we know.
    pub may_write_known_by: Foreign,
}

/// Everything that was learned.
#[derive(Clone, Debug)]
pub struct AccessReport {
    /// When it was asked, or `--now`.
    pub asked_at: Time,
    /// With the rights of a release.
    pub release: bool,
    pub rights: Vec<Right>,
    /// `None`: etcd did not answer.
    pub user: Option<EtcdUser>,
    /// `None`: etcd did not tell it.
    pub status: Option<EtcdStatus>,
    /// `v1.33.1`, as the API server says.
    pub kubernetes: Option<String>,
}

impl AccessReport {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        !self.rights.iter().any(Right::is_missing)
    }
}
