//! The tokens of a test API server's users.

/// `system:masters`.
pub const ADMIN: &str = "admin-token";
/// `system:serviceaccount:ipaudit:ipaudit`.
pub const IPAUDIT: &str = "ipaudit-token";
/// A user without any rights.
pub const ALICE: &str = "alice-token";
pub(super) const IPAUDIT_USER: &str = "system:serviceaccount:ipaudit:ipaudit";
