//! etcd's own status (input T): alarms, and how each member that was asked is doing.
//!
//! Nothing of Calico's is in it, and nothing that was read rests on it: a status that could not be read is missing for
//! itself alone.

use etcd_client::StatusResponse;

use super::etcd::ReadError;
use crate::connect::etcd::Connection;
use crate::decode::etcd_status::alarm;
use crate::model::{EtcdAlarm, EtcdMember, EtcdStatus};

/// Fits after "cannot".
const DOING: &str = "ask etcd for its status";

/// Asks every endpoint. With `cluster_id`, endpoints of another cluster have no say.
///
/// # Errors
/// When no endpoint answers.
pub async fn read(connection: &Connection, cluster_id: u64) -> Result<EtcdStatus, ReadError> {
    let answers = connection.status(DOING).await?;
    let ours = |answer: &StatusResponse| {
        cluster_id == 0 || answer.header().is_none_or(|header| header.cluster_id() == cluster_id)
    };
    let answers: Vec<_> = answers.into_iter().filter(|(_, answer)| ours(answer)).collect();
    let lines = answers.iter().flat_map(|(_, answer)| answer.errors());
    let mut alarms: Vec<EtcdAlarm> = lines.filter_map(|line| alarm(line)).collect();
    if !alarms.is_empty() {
        name(connection, &mut alarms).await;
    }
    alarms.sort();
    alarms.dedup();
    let members = answers.into_iter().map(|(endpoint, answer)| member(endpoint, &answer)).collect();
    Ok(EtcdStatus { members, alarms })
}

fn member(endpoint: String, answer: &StatusResponse) -> EtcdMember {
    let header = answer.header();
    EtcdMember {
        endpoint,
        id: header.map(|h| format!("{:x}", h.member_id())).unwrap_or_default(),
        version: answer.version().to_owned(),
        learner: answer.is_learner(),
        revision: header.map(etcd_client::ResponseHeader::revision).unwrap_or_default(),
        raft_term: answer.raft_term(),
        raft_index: answer.raft_index(),
        db_size: answer.db_size(),
        // Named after raft in the client, by a slip.
        db_size_in_use: answer.raft_used_db_size(),
        quota: Some(answer.db_size_quota()).filter(|quota| *quota > 0),
    }
}

/// Members' names; without them the ids must do.
async fn name(connection: &Connection, alarms: &mut [EtcdAlarm]) {
    let Ok(list) = connection.members(DOING).await else { return };
    for alarm in alarms {
        let member = list.members().iter().find(|m| format!("{:x}", m.id()) == alarm.member);
        alarm.name = member.map(|m| m.name().to_owned()).unwrap_or_default();
    }
}
