//! Where the server binaries are.
//!
//! The order is the field's convention (controller-runtime's envtest): the
//! folder named by `KUBEBUILDER_ASSETS`, then PATH, then the cache folder that
//! `scripts/test-servers.sh` fills. An etcd counts only when its `--version`
//! says the wanted minor: envtest's folders carry another one, and Debian's
//! 3.4 and our 3.7 have the same file name.
//!
//! This file only looks. Building takes minutes and belongs to the script.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// An etcd and the tools that go with it.
#[derive(Debug, Clone)]
pub struct EtcdBinaries {
    pub etcd: PathBuf,
    pub etcdctl: PathBuf,
    /// Offline restore: `etcdutl` since 3.5, `etcdctl` itself before.
    pub restore: PathBuf,
}

/// Debian's etcd 3.4.
pub fn etcd_3_4() -> Option<&'static EtcdBinaries> {
    static FOUND: OnceLock<Option<EtcdBinaries>> = OnceLock::new();
    FOUND.get_or_init(|| find_etcd("3.4.", false)).as_ref()
}

/// etcd 3.7, as built by the script.
pub fn etcd_3_7() -> Option<&'static EtcdBinaries> {
    static FOUND: OnceLock<Option<EtcdBinaries>> = OnceLock::new();
    FOUND.get_or_init(|| find_etcd("3.7.", true)).as_ref()
}

/// kube-apiserver, of whatever version was found first.
pub fn kube_apiserver() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| folders().into_iter().map(|folder| folder.join("kube-apiserver")).find(|path| path.is_file()))
        .as_deref()
}

/// kubectl, best the one beside that kube-apiserver: of the same version, as in envtest's folder.
pub fn kubectl() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let beside = || kube_apiserver().and_then(Path::parent).map(Path::to_path_buf);
    FOUND
        .get_or_init(|| {
            let mut places = beside().into_iter().chain(folders()).map(|folder| folder.join("kubectl"));
            places.find(|path| path.is_file())
        })
        .as_deref()
}

fn find_etcd(minor: &str, has_etcdutl: bool) -> Option<EtcdBinaries> {
    let of_minor = |name: &str, args: &[&str], first: Option<&Path>| {
        first
            .map(Path::to_path_buf)
            .into_iter()
            .chain(folders())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file() && prints(path, args, minor))
    };
    let etcd = of_minor("etcd", &["--version"], None)?;
    // Tools from the same folder first: PATH may have another minor's.
    let beside = etcd.parent();
    let etcdctl = of_minor("etcdctl", &["version"], beside)?;
    let restore = match has_etcdutl {
        true => of_minor("etcdutl", &["version"], beside)?,
        false => etcdctl.clone(),
    };
    Some(EtcdBinaries { etcd, etcdctl, restore })
}

fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    folders.extend(std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from));
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    folders.push(PathBuf::from("/usr/bin"));
    folders.extend(cache_folder());
    folders
}

/// `$XDG_CACHE_HOME/ipaudit-test-servers/bin`, the script's.
pub fn cache_folder() -> Option<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    Some(cache.join("ipaudit-test-servers").join("bin"))
}

fn prints(program: &Path, args: &[&str], minor: &str) -> bool {
    let output = Command::new(program).args(args).env("ETCDCTL_API", "3").output();
    let Ok(output) = output else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().is_some_and(|line| line.contains(&format!(" {minor}")))
}
