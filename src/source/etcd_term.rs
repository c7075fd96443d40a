//! The raft term of an answer, when it can be believed: IPA903 takes a smaller one for a restore.
//!
//! What a member calls its term is that of the last entry that it has applied. One that was away and caught up by the
//! leader's snapshot has applied none since, and tells the term of before, also in linearizable answers and for as long
//! as nobody writes (seen on 3.4.23 and 3.7.3). Then its applied index lies far behind its raft index.

use std::time::Duration;

use etcd_client::{ResponseHeader, StatusResponse};

use crate::connect::etcd::Connection;

/// A member that only has much to do catches up meanwhile.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// The term of this answer; 0, unknown, unless its member has applied everything up to then and still says the same.
pub(super) async fn vouched(connection: &Connection, answer: &ResponseHeader) -> u64 {
    let same_member = |status: &StatusResponse| status.header().is_some_and(|h| h.member_id() == answer.member_id());
    let mut goal = None;
    for _ in 0..TRIES {
        let Some(status) = connection.own_status().await.filter(same_member) else { return 0 };
        if status.raft_applied_index() >= *goal.get_or_insert(status.raft_index()) {
            // The member notes an entry's index before its term: only a later word of it is whole.
            let later = connection.own_status().await.filter(same_member);
            return later.map(|status| status.raft_term()).filter(|term| *term == answer.raft_term()).unwrap_or(0);
        }
        tokio::time::sleep(PAUSE).await;
    }
    0
}
