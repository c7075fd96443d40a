//! Which commit lies in a folder: of a clone, of one of its worktrees, or of a package that cargo made of one.

use std::fs::read_to_string as read;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Default)]
pub struct Found {
    /// In full; `None`: nobody knows.
    pub commit: Option<String>,
    /// The files that tell when it is another one.
    pub watch: Vec<PathBuf>,
}

/// The commit of the source in `folder`; `said` wins, where whoever builds (of a tarball, in a container) says it. A
/// repository further up is another one.
pub fn find(folder: &Path, said: &str) -> Found {
    // Watched even where all else is missing: cargo would watch every file of the package otherwise.
    let mut watch = vec![folder.join("build")];
    let commit = is_commit(said.trim()).then(|| said.trim().to_owned());
    let commit = commit.or_else(|| of_package(folder)).or_else(|| of_clone(folder, &mut watch));
    Found { commit, watch }
}

/// What `cargo package` has noted.
fn of_package(folder: &Path) -> Option<String> {
    let text = read(folder.join(".cargo_vcs_info.json")).ok()?;
    let (_, behind) = text.split_once("\"sha1\"")?;
    behind.split('"').nth(1).filter(|word| is_commit(word)).map(str::to_owned)
}

fn of_clone(folder: &Path, watch: &mut Vec<PathBuf>) -> Option<String> {
    let mut git = folder.join(".git");
    if git.is_file() {
        // A worktree: "gitdir: /the/clone/.git/worktrees/name".
        git = folder.join(read(&git).ok()?.strip_prefix("gitdir:")?.trim());
    }
    let shared = read(git.join("commondir")).map_or_else(|_| git.clone(), |path| git.join(path.trim()));
    let head = read(git.join("HEAD")).ok()?;
    // Its own log grows with every commit, even where HEAD goes on naming the same branch.
    watch.extend([git.join("HEAD"), git.join("logs/HEAD")].into_iter().filter(|file| file.exists()));
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned()).filter(|word| is_commit(word));
    };
    let (loose, packed) = (shared.join(name), shared.join("packed-refs"));
    watch.extend([loose.clone(), packed.clone()].into_iter().filter(|file| file.exists()));
    let commit = read(loose).ok().or_else(|| {
        let text = read(packed).ok()?;
        text.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
    })?;
    Some(commit.trim().to_owned()).filter(|word| is_commit(word))
}

/// SHA-1 or SHA-256, in full.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
