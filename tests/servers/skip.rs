//! What a test does when a server it needs is not installed.
//!
//! `servers::need!(Etcd3_4, ApiServer)` at the top of a test returns from it
//! after saying on the real stderr what was skipped and how to get it: libtest
//! hides what a passing test prints, and a silent skip looks like a pass.
//! With `CI` set it panics instead: in CI a skipped test is a failed test.

use std::io::Write;

use super::{binaries, namespaces};

/// A server that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Etcd3_4,
    Etcd3_7,
    /// kube-apiserver and the etcd 3.7 behind it.
    ApiServer,
    Kubectl,
    /// Network namespaces of one's own, and `ip`.
    Namespaces,
}

impl Need {
    /// What is missing and how to get it; `None` when it is there.
    pub fn missing(self) -> Option<(&'static str, &'static str)> {
        let script = "run scripts/test-servers.sh";
        match self {
            Need::Etcd3_4 => binaries::etcd_3_4()
                .is_none()
                .then_some(("etcd 3.4 with etcdctl", "Debian's packages etcd-server and etcd-client")),
            Need::Etcd3_7 => binaries::etcd_3_7().is_none().then_some(("etcd 3.7 with etcdctl and etcdutl", script)),
            Need::ApiServer if binaries::kube_apiserver().is_none() => Some(("kube-apiserver", script)),
            Need::ApiServer => Need::Etcd3_7.missing(),
            Need::Namespaces => namespaces::missing().then_some((
                "network namespaces and veth, as root, and setpriv",
                "Debian's iproute2 and util-linux, CAP_SYS_ADMIN and CAP_NET_ADMIN",
            )),
            Need::Kubectl => binaries::kubectl().is_none().then_some(("kubectl", script)),
        }
    }
}

/// Whether the test may go on. Use through [`need!`].
pub fn have(need: Need, test: &str) -> bool {
    let Some((what, how)) = need.missing() else {
        return true;
    };
    if std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false") {
        panic!("{test} needs {what} ({how}): in CI a skipped test is a failed test");
    }
    // Not eprintln!: libtest captures that.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {what} ({how})");
    false
}

/// The path of the function whose local item has this type name.
pub fn enclosing<T>(_: T) -> &'static str {
    std::any::type_name::<T>().trim_end_matches("::here")
}

/// Returns from the test, aloud, unless these servers ([`Need`]) are there.
macro_rules! need {
    ($($what:ident),+ $(,)?) => {{
        fn here() {}
        let test = $crate::servers::skip::enclosing(here);
        $(if !$crate::servers::skip::have($crate::servers::skip::Need::$what, test) {
            return;
        })+
    }};
}
pub(crate) use need;
