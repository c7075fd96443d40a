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

/// What a member says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct MemberWord {
    /// The term of its answer; 0: unknown.
    pub term: u64,
    /// As `3.5.16`; empty: not told.
    pub version: String,
}

/// The member of this answer. Its term is unknown unless it has applied everything up to then and still says the same.
pub(super) async fn vouched(connection: &Connection, answer: &ResponseHeader) -> MemberWord {
    let same_member = |status: &StatusResponse| status.header().is_some_and(|h| h.member_id() == answer.member_id());
    let mut goal = None;
    for _ in 0..TRIES {
        let Some(status) = connection.own_status().await.filter(same_member) else {
            return MemberWord::default();
        };
        if status.raft_applied_index() >= *goal.get_or_insert(status.raft_index()) {
            // The member notes an entry's index before its term: only a later word of it is whole.
            let later = connection.own_status().await.filter(same_member);
            let term = later.map(|status| status.raft_term()).filter(|term| *term == answer.raft_term());
            return MemberWord { term: term.unwrap_or(0), version: status.version().to_owned() };
        }
        tokio::time::sleep(PAUSE).await;
    }
    MemberWord::default()
}
