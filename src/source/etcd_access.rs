//! What this user may do in etcd: every prefix that an audit reads is tried, what a release writes is told by the
//! user's roles.
//!
//! Nothing is written. A try asks for one key without its value: etcd judges the range, not what is in it.

use etcd_client::{GetOptions, Permission, PermissionType};

use super::etcd_ranges::{Wanted, prefix_end, wanted};
use super::etcd_status;
use crate::connect::etcd::Connection;
use crate::connect::trouble::{Trouble, TroubleKind};
use crate::decode::keys::{BLOCKS, ENDPOINTS, HANDLES};
use crate::error::Error;
use crate::model::access::{Access, Authentication, EtcdUser, Granter, Need, Right};
use crate::model::{EtcdStatus, Foreign};

/// What a release and an undo write, in words and as prefixes.
pub const WRITTEN: [(&str, &str); 3] = [("blocks", BLOCKS), ("handles", HANDLES), ("endpoints", ENDPOINTS)];

/// The user whose name is known everywhere: without it authentication cannot be on. Its role has the same name, and may do
/// everything.
const ROOT: &str = "root";

/// What etcd granted and told.
#[derive(Default)]
pub struct EtcdAccess {
    pub rights: Vec<Right>,
    /// `None`: it does not answer.
    pub user: Option<EtcdUser>,
    pub status: Option<EtcdStatus>,
}

/// Tries and asks. With `release`, what a release writes is needed too.
pub async fn ask(connection: &Connection, release: bool) -> EtcdAccess {
    let mut access = EtcdAccess { rights: reads(connection).await, ..EtcdAccess::default() };
    let status = Right::new(Granter::Etcd, Need::Read, "status", connection.endpoints().join(", "));
    if access.rights.iter().all(|right| right.state == Access::Unreachable) {
        access.rights.push(like(status, access.rights.last()));
        return access;
    }
    let (status, told) = ask_status(connection, status).await;
    access.rights.push(status);
    access.status = told;
    let about = ask_user(connection).await;
    access.rights.push(told_of(&about.user, connection));
    access.rights.extend(writes(&about, release));
    access.user = Some(about.user);
    access
}

/// The rights of an etcd to which nobody can even be sent.
pub fn unreachable(error: &Error) -> EtcdAccess {
    all(Access::Unreachable, error)
}

/// The same where nobody said which etcd, or nobody can tell what was said.
pub fn unasked(error: &Error) -> EtcdAccess {
    all(Access::NotAsked, error)
}

fn all(state: Access, error: &Error) -> EtcdAccess {
    let right = |wanted: Wanted| of(&wanted).is(state, crate::error::chain(error), error.hint.clone());
    EtcdAccess { rights: wanted().map(right).collect(), ..EtcdAccess::default() }
}

fn of(wanted: &Wanted) -> Right {
    let star = if wanted.prefix { "*" } else { "" };
    Right::new(Granter::Etcd, Need::Read, wanted.input.word(), format!("{}{star}", wanted.key))
}

/// The same state for the same reason.
fn like(right: Right, other: Option<&Right>) -> Right {
    match other {
        Some(other) => right.is(other.state, other.detail.raw(), other.hint.clone()),
        None => right,
    }
}

async fn reads(connection: &Connection) -> Vec<Right> {
    let mut rights: Vec<Right> = Vec::new();
    // What holds for everything: nobody there, or a login that is refused.
    let mut for_all = false;
    for wanted in wanted() {
        let right = of(&wanted);
        if for_all {
            rights.push(like(right, rights.last()));
            continue;
        }
        let mut options = GetOptions::new().with_keys_only();
        if wanted.prefix {
            options = options.with_range(prefix_end(wanted.key.as_bytes())).with_limit(1);
        }
        let ask = |mut kv: etcd_client::KvClient| {
            let options = options.clone();
            async move { kv.get(wanted.key, Some(options)).await }
        };
        let answer = connection.call(&wanted.doing(), ask).await;
        for_all = answer.as_ref().is_err_and(|trouble| trouble.kind != TroubleKind::Forbidden);
        rights.push(match answer {
            Ok(_) => right,
            Err(trouble) => refused(right, &trouble),
        });
    }
    rights
}

fn refused(right: Right, trouble: &Trouble) -> Right {
    let state = if trouble.is_refusal() { Access::Refused } else { Access::Unreachable };
    right.is(state, said(trouble), trouble.error.hint.clone())
}

/// The endpoint and its words.
fn said(trouble: &Trouble) -> String {
    let cause = trouble.error.cause.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}: {cause}", trouble.error.at)
}

async fn ask_status(connection: &Connection, right: Right) -> (Right, Option<EtcdStatus>) {
    match etcd_status::read(connection, 0).await {
        Ok(status) => {
            let mut versions: Vec<&str> = status.members.iter().map(|member| member.version.as_str()).collect();
            versions.sort_unstable();
            versions.dedup();
            let alarms = status.alarms.iter().map(|alarm| format!("{} on {}", alarm.kind, alarm.who()));
            let alarms: Vec<String> = alarms.collect();
            let (alarm, hint) = match alarms.as_slice() {
                [] => ("no alarm".to_owned(), ""),
                some => (format!("ALARM {}", some.join(", ")), "ipaudit explain etcd-alarm says what to do"),
            };
            let detail = format!("etcd {}, {alarm}", versions.join(" and "));
            (right.is(Access::Granted, detail, hint), Some(status))
        }
        Err(failed) => {
            let forbidden = matches!(failed, super::etcd::ReadError::Forbidden(_));
            let error = Error::from(failed);
            let state = if forbidden { Access::Refused } else { Access::Unreachable };
            (right.is(state, crate::error::chain(&error), error.hint), None)
        }
    }
}

/// What is known of the user, and what its roles let it write.
struct EtcdWord {
    user: EtcdUser,
    /// Of [`WRITTEN`], in its order.
    may_write: [Option<bool>; WRITTEN.len()],
}

async fn ask_user(connection: &Connection) -> EtcdWord {
    let (authentication, known_by, powerful) = ask_authentication(connection).await;
    let name = connection.login_name().or(connection.common_name());
    let mut user = EtcdUser {
        authentication,
        known_by,
        user: name.map(Foreign::from),
        roles: None,
        may_write: None,
        may_write_known_by: Foreign::default(),
    };
    let mut may_write = [None; WRITTEN.len()];
    if powerful {
        (user.may_write, may_write) = (Some(true), [Some(true); WRITTEN.len()]);
        user.may_write_known_by = user.known_by.as_str().into();
        return EtcdWord { user, may_write };
    }
    let granted = match name {
        Some(name) => ask_roles(connection, name, &mut user).await,
        None => Err("nobody is logged in".to_owned()),
    };
    match granted {
        Ok(granted) => {
            may_write = WRITTEN.map(|(_, prefix)| Some(covers(&granted, prefix.as_bytes())));
            user.may_write = Some(may_write.iter().all(|may| *may == Some(true)));
            let roles: Vec<&str> = user.roles.iter().flatten().map(Foreign::raw).collect();
            let roles = if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") };
            user.may_write_known_by = format!("by what etcd tells of the user's roles ({roles})").into();
        }
        Err(why) => user.may_write_known_by = why.into(),
    }
    EtcdWord { user, may_write }
}

/// Whether authentication is on, how we know, and whether whoever we are may do everything.
///
/// No call that etcd 3.4 knows tells it by itself, so it is seen in how etcd treats us.
async fn ask_authentication(connection: &Connection) -> (Authentication, String, bool) {
    let off = |how: &str| (Authentication::Off, how.to_owned(), true);
    let on = |how: &str| (Authentication::On, how.to_owned(), false);
    match (connection.has_logged_in(), connection.login_name()) {
        (Some(true), _) => return on("etcd took our login"),
        (Some(false), _) => return off("etcd says that it takes no login"),
        (None, Some(_)) => return on("etcd refuses our login"),
        (None, None) => {}
    }
    match connection.roles_of(ROOT, "ask etcd whether authentication is on").await {
        Err(trouble) if trouble.is_refusal() => on("etcd does not tell whoever comes of its users"),
        Err(trouble) if said(&trouble).contains("user name not found") => {
            off("etcd has no user root, without whom it cannot be on")
        }
        Err(trouble) => (Authentication::Unknown, said(&trouble), false),
        Ok(_) if connection.common_name() == Some(ROOT) => {
            let how = "etcd tells us of its user root, whom our certificate names, or everybody";
            (Authentication::Unknown, how.to_owned(), true)
        }
        Ok(_) => off("etcd tells whoever comes of its user root"),
    }
}

/// What the user's roles permit to be written; the reason where that is not told.
async fn ask_roles(connection: &Connection, name: &str, user: &mut EtcdUser) -> Result<Vec<KeySpan>, String> {
    let needs = |what: &str, trouble: &Trouble| format!("needs {what}: {}", said(trouble));
    let roles = connection.roles_of(name, "ask etcd for the roles of its user").await;
    let roles = roles.map_err(|trouble| needs("user get", &trouble))?;
    user.roles = Some(roles.iter().map(|role| Foreign::from(role.as_str())).collect());
    let mut granted = Vec::new();
    for role in &roles {
        if role == ROOT {
            return Ok(vec![KeySpan { start: Vec::new(), end: None }]);
        }
        let permissions = connection.permissions_of(role, "ask etcd what a role permits").await;
        let permissions = permissions.map_err(|trouble| needs("role get", &trouble))?;
        granted.extend(permissions.iter().filter(|p| writes_by(p)).map(KeySpan::of));
    }
    Ok(granted)
}

fn writes_by(permission: &Permission) -> bool {
    [PermissionType::Write, PermissionType::Readwrite].into_iter().any(|kind| permission.get_type() == kind as i32)
}

/// Keys from `start` up to but not including `end`; `None`: all further ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct KeySpan {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeySpan {
    fn of(permission: &Permission) -> KeySpan {
        let start = permission.key().to_vec();
        let end = match permission.range_end() {
            [] => Some([permission.key(), b"\0"].concat()),
            [0] => None,
            end => Some(end.to_vec()),
        };
        KeySpan { start, end }
    }
}

/// Whether all keys of a prefix are covered, by several spans together too: so etcd judges.
fn covers(spans: &[KeySpan], prefix: &[u8]) -> bool {
    let mut spans: Vec<&KeySpan> = spans.iter().collect();
    spans.sort_unstable();
    let end = prefix_end(prefix);
    let mut from = prefix.to_vec();
    for span in spans.into_iter().filter(|span| span.end.as_ref().is_none_or(|end| end.as_slice() > prefix)) {
        match &span.end {
            _ if span.start > from => return false,
            None => return true,
            Some(to) if *to >= end => return true,
            Some(to) => from = from.max(to.clone()),
        }
    }
    false
}

/// The line about the user.
fn told_of(user: &EtcdUser, connection: &Connection) -> Right {
    let login = Right::new(Granter::Etcd, Need::Nothing, "login", connection.endpoints().join(", "));
    let who = match (&user.user, user.authentication) {
        (_, Authentication::Off) => {
            let detail = format!("authentication is off ({}): everybody may read and write", user.known_by);
            return login.is(Access::Granted, detail, "");
        }
        (Some(name), _) => match &user.roles {
            Some(roles) if roles.is_empty() => format!("user {} has no role", name.raw()),
            Some(roles) => {
                let roles: Vec<&str> = roles.iter().map(Foreign::raw).collect();
                format!(
                    "user {} has {} {}",
                    name.raw(),
                    if roles.len() == 1 { "role" } else { "roles" },
                    roles.join(", ")
                )
            }
            None => format!("user {}, its roles are not told", name.raw()),
        },
        (None, _) => "no user is given".to_owned(),
    };
    let by_certificate = user.user.is_some() && connection.login_name().is_none();
    let who = if by_certificate { format!("{who}, by our client certificate") } else { who };
    let detail = format!("authentication is {} ({}); {who}", user.authentication.word(), user.known_by);
    match (user.authentication, connection.has_logged_in(), connection.login_name()) {
        (Authentication::Unknown, ..) => login.is(Access::Unknown, detail, ""),
        (_, None, Some(_)) => {
            login.is(Access::Refused, detail, "--etcd-username and --etcd-password-file name the user")
        }
        _ => login.is(Access::Granted, detail, ""),
    }
}

/// What may be written: a line for each prefix that a release needs, or one that tells.
fn writes(about: &EtcdWord, release: bool) -> Vec<Right> {
    let how = about.user.may_write_known_by.raw();
    if !release {
        let (state, words) = match about.user.may_write {
            Some(true) => (Access::Granted, "yes, though an audit only reads"),
            Some(false) if about.may_write.contains(&Some(true)) => {
                (Access::Granted, "a part, though an audit only reads")
            }
            Some(false) => (Access::Refused, "no, and an audit only reads"),
            None => (Access::Unknown, "nobody tells, and an audit only reads"),
        };
        let target = WRITTEN.map(|(_, prefix)| format!("{prefix}*")).join(" ");
        let right = Right::new(Granter::Etcd, Need::Nothing, "write", target);
        return vec![right.is(state, format!("{words} ({how})"), "")];
    }
    let right = |(&(what, prefix), may): (&(&str, &str), &Option<bool>)| {
        let right = Right::new(Granter::Etcd, Need::Write, format!("write {what}"), format!("{prefix}*"));
        let grant = format!("etcdctl role grant-permission ROLE --prefix=true readwrite {prefix}");
        match may {
            Some(true) => right.is(Access::Granted, how, ""),
            Some(false) => right.is(Access::Refused, how, grant),
            None => right.is(Access::Unknown, how, format!("docs/release.md names the rights: {grant}")),
        }
    };
    WRITTEN.iter().zip(&about.may_write).map(right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(permissions: &[Permission]) -> Vec<KeySpan> {
        permissions.iter().map(KeySpan::of).collect()
    }

    fn range(key: &str, end: &str) -> Permission {
        Permission::write(key).with_range_end(end)
    }

    #[test]
    fn a_prefix_is_covered_by_one_span_or_by_several_without_a_gap() {
        let covered = |permissions: &[Permission]| covers(&spans(permissions), b"/a/");
        assert!(covered(&[range("/a/", "/a0")]));
        assert!(covered(&[range("/", "0")]));
        assert!(covered(&[range("/a/", "\0")]), "from a key to the end of everything");
        assert!(covered(&[range("/a/m", "/b"), range("/", "/a/m")]), "in any order");
        assert!(covered(&[range("/a/", "/a/z"), range("/a/b", "/a/c"), range("/a/k", "/a0")]), "one within another");
        assert!(covered(&[Permission::write("/a/"), range("/a/\0", "/a0")]), "a key alone, and what follows it");
    }

    #[test]
    fn a_gap_or_another_prefix_does_not_cover() {
        let covered = |permissions: &[Permission]| covers(&spans(permissions), b"/a/");
        assert!(!covered(&[]));
        assert!(!covered(&[Permission::write("/a/")]), "one key");
        assert!(!covered(&[range("/a/", "/a/m"), range("/a/m\0", "/a0")]), "a gap of one key");
        assert!(!covered(&[range("/b/", "/b0")]));
        assert!(!covered(&[range("/", "/a/")]));
        assert!(!covered(&[range("/a/x", "\0")]));
    }

    #[test]
    fn reading_is_no_writing() {
        assert!(!writes_by(&Permission::read("/a/")));
        assert!(writes_by(&Permission::write("/a/")) && writes_by(&Permission::read_write("/a/")));
    }
}
