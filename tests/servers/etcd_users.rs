//! The users of an etcd with authentication.

/// A user of an etcd started with `auth()`.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub name: &'static str,
    pub password: &'static str,
}

pub const ROOT: User = User { name: "root", password: "root-secret" };
/// May read `/calico/`.
pub const READER: User = User { name: "reader", password: "reader-secret" };
/// May read and write `/calico/`.
pub const WRITER: User = User { name: "writer", password: "writer-secret" };
/// Exists and may do nothing.
pub const NOBODY: User = User { name: "nobody", password: "nobody-secret" };
