//! Asks etcd's members of themselves (`Status`): any logged-in user may, a learner answers too, 3.4 even without a login.
//!
//! One answer is enough for the alarms, which every member knows of all. The other endpoints are asked once each, for
//! a moment: what they do not say is not missed.

use std::time::Duration;

use etcd_client::{MemberListResponse, StatusResponse};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Connection, Inner};
use crate::connect::trouble::Trouble;

/// How long the other endpoints have, all at once: one of them may be dead.
const OTHERS_WITHIN: Duration = Duration::from_secs(1);

impl Connection {
    /// What each endpoint that answers says of itself, in the order of the endpoints.
    ///
    /// # Errors
    /// When none answers: what [`Connection::call`] would say.
    pub async fn status(&self, doing: &str) -> Result<Vec<(String, StatusResponse)>, Trouble> {
        let (first, by) = self.repeat(doing, |mut client| async move { client.status().await }).await?;
        let mut others = JoinSet::new();
        for (place, _) in self.0.targets.iter().enumerate().filter(|(_, t)| t.shown != by.endpoint) {
            let inner = self.0.clone();
            others.spawn(async move { Some((place, timeout(OTHERS_WITHIN, inner.status_of(place)).await.ok()??)) });
        }
        let mut answers: Vec<(usize, StatusResponse)> = others.join_all().await.into_iter().flatten().collect();
        answers.extend(self.0.targets.iter().position(|t| t.shown == by.endpoint).map(|place| (place, first)));
        answers.sort_by_key(|(place, _)| *place);
        let named = |(place, answer): (usize, StatusResponse)| Some((self.0.targets.get(place)?.shown.clone(), answer));
        Ok(answers.into_iter().filter_map(named).collect())
    }

    /// Every member with its name; a learner cannot tell.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn members(&self, doing: &str) -> Result<MemberListResponse, Trouble> {
        self.repeat(doing, |mut client| async move { client.member_list().await }).await.map(|(answer, _)| answer)
    }
}

impl Inner {
    async fn status_of(&self, place: usize) -> Option<StatusResponse> {
        self.connect(self.targets.get(place)?).await.ok()?.status().await.ok()
    }
}
