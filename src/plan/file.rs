//! A plan as a file: one makes it, another one carries it out, and nothing else than this.
//!
//! The file proves nothing and allows nothing: who carries it out judges everything anew, by every rule, and compares
//! what comes out with the file. So it can only make less happen. What it is bound to is the pair, the revision, and
//! each key's revisions and value; its digest tells damage and careless edits, and is no seal against anybody who
//! computes it anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::confirm::{Plan, PlanStep, Work};
use super::refusal::{Drift, Objection, Refusal};
use super::release::Extent;
use super::transaction::{After, Change, Fresh, OPERATIONS, StoredKey};
use crate::model::keys::{is_of_a_release, key_text};
use crate::model::{Addr, Foreign};

/// Name and version of the file's shape.
pub const PLAN_SCHEMA: &str = "ipaudit/plan/v1";

/// Bytes that a plan's file has at most: thousands of transactions.
pub const LIMIT: u64 = 64 << 20;

/// A plan of a release, as its file has it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    schema: String,
    /// When it was made, in RFC 3339, and by which ipaudit.
    pub made: String,
    /// `ipaudit` and its version.
    pub made_by: String,
    /// What it was made for.
    pub bound: Bound,
    /// What its maker asked and answered for.
    pub asked: Answered,
    steps: Vec<FiledStep>,
    /// SHA-256, in hexadecimal, of all that stands before it.
    digest: String,
}

/// Which datastore, of which cluster, at which moment.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Calico's GUID.
    pub guid: String,
    /// UIDs of the one Kubernetes cluster; none: the history alone knew it.
    pub kubernetes: Vec<String>,
    /// etcd's own id of the cluster, in hexadecimal.
    pub etcd: String,
    /// At which the plan was made.
    pub revision: i64,
}

/// What its maker asked for, and answered for.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// As many as were found by a code: rule 2 asks more of them.
    pub bulk: bool,
    /// `--scope exclusive`.
    pub exclusive: bool,
    /// `--skip-age`.
    pub skip_age: bool,
    /// `--i-know-what-this-is`.
    pub knows: bool,
    /// `--node-is-off`, as it was said.
    pub nodes_off: Vec<String>,
    /// What is released, by the names under which it can be judged anew.
    pub handles: Vec<String>,
    pub addresses: Vec<String>,
}

/// What tells a plan's file from any other.
#[derive(Deserialize)]
struct PlanHead {
    schema: String,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
struct FiledStep {
    subject: String,
    keys: Vec<FiledKey>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
struct FiledKey {
    key: String,
    /// Instead of `key`, in hexadecimal, of a key that is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_bytes: Option<String>,
    /// `put`, `delete`, `compare`.
    action: String,
    /// `None`: it must be absent.
    mod_revision: Option<i64>,
    /// SHA-256 of both its revisions and its value; `None`: it must be absent.
    digest: Option<String>,
}

impl FiledStep {
    fn of(step: &PlanStep) -> FiledStep {
        FiledStep {
            subject: step.work.subject().raw().to_owned(),
            keys: step.shown.changes().iter().map(FiledKey::of).collect(),
        }
    }

    /// As a transaction has them: each once, and no more than etcd takes.
    fn is_sound(&self) -> bool {
        let keys: BTreeSet<Option<Vec<u8>>> = self.keys.iter().map(FiledKey::bytes).collect();
        let may_be = |key: &Option<Vec<u8>>| key.as_deref().is_some_and(is_of_a_release);
        (1..=OPERATIONS).contains(&self.keys.len()) && keys.len() == self.keys.len() && keys.iter().all(may_be)
    }
}

impl FiledKey {
    fn of(change: &Change) -> FiledKey {
        let action = match change.after {
            After::Same => "compare",
            After::Put(_) => "put",
            After::Delete => "delete",
        };
        let is_text = std::str::from_utf8(&change.key).is_ok();
        FiledKey {
            key: key_text(&change.key),
            key_bytes: (!is_text).then(|| hex(&change.key)),
            action: action.to_owned(),
            mod_revision: change.before.as_ref().map(|b| b.mod_revision),
            digest: change.before.as_ref().map(stored_digest),
        }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        match &self.key_bytes {
            None => Some(self.key.as_bytes().to_vec()),
            Some(hex) => unhex(hex),
        }
    }
}

impl PlanFile {
    /// The file of a plan.
    pub fn of(plan: &Plan, made: String, made_by: String, bound: Bound, asked: Answered) -> PlanFile {
        let (handles, addresses) = named(plan);
        let asked = Answered { handles, addresses, ..asked };
        let steps = plan.steps.iter().map(FiledStep::of).collect();
        let digest = String::new();
        let mut file = PlanFile { schema: PLAN_SCHEMA.to_owned(), made, made_by, bound, asked, steps, digest };
        file.digest = file.computed();
        file
    }

    /// What is written into the file.
    ///
    /// # Errors
    /// None that are known: the file is text and numbers.
    pub fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// From the file's bytes.
    ///
    /// # Errors
    /// What is no plan, one of another version, a damaged or edited one; in words.
    pub fn read(bytes: &[u8]) -> Result<PlanFile, String> {
        // A list would be read as the fields of what it stands for.
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err("it is no plan of ipaudit: no JSON object".to_owned());
        }
        let head: PlanHead = serde_json::from_slice(bytes).map_err(|e| format!("it is no plan of ipaudit: {e}"))?;
        if head.schema != PLAN_SCHEMA {
            return Err(match head.schema.starts_with("ipaudit/plan/") {
                true => format!("it is of version {}, and this ipaudit reads {PLAN_SCHEMA}", head.schema),
                false => format!("it is no plan of a release but {}", head.schema),
            });
        }
        let damaged = |why: String| format!("it was damaged or edited since it was made: {why}");
        let file: PlanFile = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if file.digest != file.computed() {
            return Err(damaged("its digest does not fit".to_owned()));
        }
        if file.addresses().is_none() || file.steps.is_empty() {
            return Err(damaged("an address cannot be read, or there is nothing to do".to_owned()));
        }
        if let Some(step) = file.steps.iter().find(|step| !step.is_sound()) {
            let subject = Foreign::from(step.subject.as_str());
            return Err(damaged(format!("no release has such keys as those of {}", subject.shown())));
        }
        if file.steps.iter().collect::<BTreeSet<_>>().len() < file.steps.len() {
            return Err(damaged("a transaction stands in it twice".to_owned()));
        }
        Ok(file)
    }

    /// SHA-256 of the file, by which two people can tell that they mean the same one.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn computed(&self) -> String {
        let bare = PlanFile { digest: String::new(), ..self.clone() };
        serde_json::to_vec(&bare).map(|text| hex(&Sha256::digest(text))).unwrap_or_default()
    }

    fn filed(&self) -> impl Iterator<Item = &FiledKey> {
        self.steps.iter().flat_map(|step| &step.keys)
    }

    /// The addresses that were named; `None` when one is none.
    pub fn addresses(&self) -> Option<Vec<Addr>> {
        self.asked.addresses.iter().map(|address| address.parse().ok()).collect()
    }

    /// All keys on which the plan rests, each once.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.filed().filter_map(FiledKey::bytes).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What is not as the plan was made for, of the datastore as a whole. `now` is how it is.
    pub fn of_another(&self, now: &Bound) -> Option<Objection> {
        let told = |what: &str, then: &str, now: &str| Some(format!("{what} {then}, and this is {now}"));
        let uid = |bound: &Bound| bound.kubernetes.first().cloned().unwrap_or_else(|| "an unknown one".to_owned());
        // Not everybody may read both names of a cluster.
        let (then, here) = (&self.bound.kubernetes, &now.kubernetes);
        let same_cluster = then.is_empty() && here.is_empty() || then.iter().any(|uid| here.contains(uid));
        let words = match () {
            () if self.bound.guid != now.guid => told("datastore", &self.bound.guid, &now.guid),
            () if !same_cluster => told("Kubernetes cluster", &uid(&self.bound), &uid(now)),
            () if self.bound.etcd != now.etcd => told("etcd cluster", &self.bound.etcd, &now.etcd),
            () if self.bound.revision > now.revision => {
                told("etcd's revision", &self.bound.revision.to_string(), &now.revision.to_string())
            }
            () => None,
        };
        words.map(|words| Objection::PlanOfAnother(words.into()))
    }

    /// The keys that are not as they were when the plan was made.
    pub fn moved(&self, fresh: &Fresh) -> Vec<Refusal> {
        let mut told = BTreeSet::new();
        let mut moved = Vec::new();
        for filed in self.filed() {
            let Some(key) = filed.bytes().filter(|key| told.insert(key.clone())) else { continue };
            let now = fresh.get(&key).and_then(Option::as_ref);
            let how = match (filed.mod_revision, now) {
                (None, None) => continue,
                (None, Some(now)) => Drift::Appeared(now.mod_revision),
                (Some(_), None) => Drift::Gone,
                (Some(_), Some(now)) if filed.digest.as_ref() == Some(&stored_digest(now)) => continue,
                (Some(then), Some(now)) => Drift::Written { then, now: now.mod_revision },
            };
            moved.push(Refusal::new(key_text(&key), Objection::Drifted(how)));
        }
        moved
    }

    /// Whether the bytes are a plan of any version, whole or edited: what a new one may take the place of.
    pub fn is_one(bytes: &[u8]) -> bool {
        serde_json::from_slice(bytes).is_ok_and(|head: PlanHead| head.schema.starts_with("ipaudit/plan/"))
    }

    /// In what a plan that was made just now is not this one: keys that it would not treat as this one does, and then
    /// transactions of something else, as of another address in the same block.
    pub fn differs(&self, plan: &Plan) -> Vec<Refusal> {
        let steps: Vec<FiledStep> = plan.steps.iter().map(FiledStep::of).collect();
        let (filed, now) = (by_name(&self.steps), by_name(&steps));
        let more = now.iter().filter(|(name, key)| filed.get(*name) != Some(*key)).map(|(name, _)| (name, Drift::More));
        let less = filed.keys().filter(|name| !now.contains_key(*name)).map(|name| (name, Drift::Less));
        let drifts = more.chain(less).map(|((key, _), how)| Refusal::new(*key, Objection::Drifted(how)));
        let drifts: Vec<Refusal> = drifts.collect();
        if !drifts.is_empty() {
            return drifts;
        }
        // The order is nobody's: each is a transaction of its own.
        let (filed, now): (BTreeSet<_>, BTreeSet<_>) = (self.steps.iter().collect(), steps.iter().collect());
        let more = now.difference(&filed).map(|step| (step, Drift::More));
        let less = filed.difference(&now).map(|step| (step, Drift::Less));
        more.chain(less).map(|(step, how)| Refusal::new(step.subject.as_str(), Objection::Drifted(how))).collect()
    }
}

/// Each key, with what is done to it.
fn by_name(steps: &[FiledStep]) -> BTreeMap<(&str, &str), &FiledKey> {
    let keys = steps.iter().flat_map(|step| &step.keys);
    keys.map(|key| ((key.key.as_str(), key.action.as_str()), key)).collect()
}

/// The names under which everything of a plan can be judged anew.
fn named(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let (mut handles, mut addresses) = (Vec::new(), Vec::new());
    for step in &plan.steps {
        match &step.work {
            Work::Release(target) => match target.handle.as_ref().filter(|_| target.extent == Extent::Whole) {
                Some(handle) => handles.push(handle.clone()),
                None => addresses.extend(target.places.iter().map(|place| place.address.to_string())),
            },
            Work::Orphans(batch) => handles.extend(batch.iter().map(|orphan| orphan.id.clone())),
            Work::Undo(_) => {}
        }
    }
    (handles, addresses)
}

fn stored_digest(stored: &StoredKey) -> String {
    let mut digest = Sha256::new();
    digest.update(stored.create_revision.to_be_bytes());
    digest.update(stored.mod_revision.to_be_bytes());
    digest.update(&stored.value);
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2))
        .collect()
}

#[cfg(test)]
mod tests;
