//! Who we are to etcd, and what it tells us of that user: its roles and what these permit.
//!
//! Any user may ask for itself and for its own roles, nobody but root for others. Asking writes no key and makes no
//! revision.

use etcd_client::Permission;

use super::Connection;
use crate::connect::trouble::Trouble;

impl Connection {
    /// The name by which we log in; `None`: we do not.
    pub fn login_name(&self) -> Option<&str> {
        self.0.user.as_ref().map(|(name, _)| name.as_str())
    }

    /// The common name of our client certificate: the user, where etcd's authentication is on and we do not log in.
    pub fn common_name(&self) -> Option<&str> {
        self.0.tls.common_name.as_deref()
    }

    /// Whether etcd took our login (its authentication is on) or said that it has none. `None`: nobody has logged in.
    pub fn has_logged_in(&self) -> Option<bool> {
        self.0.login.get().copied()
    }

    /// The roles of this user.
    ///
    /// # Errors
    /// As [`Connection::call`]; asking for somebody else is refused.
    pub async fn roles_of(&self, user: &str, doing: &str) -> Result<Vec<String>, Trouble> {
        let ask = |mut client: etcd_client::Client| async move { client.user_get(user).await };
        self.repeat(doing, ask).await.map(|(answer, _)| answer.roles().to_vec())
    }

    /// What this role permits.
    ///
    /// # Errors
    /// As [`Connection::call`]; asking for a role of somebody else is refused.
    pub async fn permissions_of(&self, role: &str, doing: &str) -> Result<Vec<Permission>, Trouble> {
        let ask = |mut client: etcd_client::Client| async move { client.role_get(role).await };
        self.repeat(doing, ask).await.map(|(answer, _)| answer.permissions())
    }
}
