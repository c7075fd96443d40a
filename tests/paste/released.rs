//! What an audit advises to release is let through: carried out as it is printed, with `--yes`, each on a copy.

use std::collections::HashMap;
use std::sync::Mutex;

use ipaudit::model::Time;
use serde_json::Value;

use super::desk::{Desk, told};
use super::file_kube::FileKube;
use super::printed::{Printed, form};
use super::servers::Etcd;
use super::servers::golden::Moment;

/// When the audits looked, in minutes before the release: an audit knows a leak for a day then.
const AGO: [i64; 5] = [1560, 1500, 90, 45, 1];
/// Of commands of one code and one form so many are carried out, over all cases.
const ALIKE: usize = 2;

/// What was carried out: by code and form.
#[derive(Default)]
pub struct Done(Mutex<HashMap<(String, String), usize>>);

impl Done {
    /// Whether one more is wanted, and that it is taken up.
    fn takes(&self, code: &str, line: &str) -> bool {
        let mut done = self.0.lock().unwrap();
        let count = done.entry((code.to_owned(), of_any_number(&form(line)))).or_default();
        *count += 1;
        *count <= ALIKE
    }

    /// Every form that was met, and how often.
    pub fn forms(&self) -> HashMap<String, usize> {
        let mut forms = HashMap::new();
        for ((_, form), count) in self.0.lock().unwrap().iter() {
            *forms.entry(form.clone()).or_default() += count;
        }
        forms
    }
}

/// Several handles are one form.
fn of_any_number(form: &str) -> String {
    const HANDLE: &str = " --handle #";
    match form.split_once(HANDLE) {
        Some((before, rest)) if rest.contains(HANDLE) => format!("{before}{HANDLE} …{}", rest.replace(HANDLE, "")),
        _ => form.to_owned(),
    }
}

/// A case in an etcd, its cluster at an API, and what five audits know of it.
struct Copy<'a> {
    moment: &'a Moment,
    etcd: &'a Etcd,
    desk: Desk,
    now: Time,
}

impl Copy<'_> {
    fn new<'a>(moment: &'a Moment, etcd: &'a Etcd, kube: &FileKube) -> Copy<'a> {
        moment.load_into(etcd);
        kube.load(&moment.cluster);
        // Audits by a clock that the API server's contradicts count for nothing.
        kube.tell_time(None);
        let desk = Desk::live(etcd, &kube.kubeconfig());
        desk.knows(moment);
        let now = Time(chrono::Utc::now().timestamp_nanos_opt().unwrap());
        for ago in AGO {
            let at = Time(now.0 - ago * 60 * 1_000_000_000);
            desk.audit_at(at, &["-o", "json"]);
        }
        Copy { moment, etcd, desk, now: Time(now.0 - 30 * 1_000_000_000) }
    }

    /// The commands that an audit prints now, of which some release.
    fn printed(&self, kube: &FileKube) -> Printed {
        kube.tell_time(Some(self.now));
        let document = serde_json::from_str(&self.desk.audit_at(self.now, &["-o", "json"])).unwrap();
        let tables = [self.desk.audit_at(self.now, &["--all"]), self.desk.audit_at(self.now, &[])];
        kube.tell_time(None);
        Printed::of(&document, &[&tables[0], &tables[1]])
    }
}

/// What went wrong with the releases that are advised of this moment.
pub fn failures(name: &str, moment: &Moment, etcd: &Etcd, kube: &FileKube, done: &Done) -> Vec<String> {
    let mut failures = Vec::new();
    let mut copy = Copy::new(moment, etcd, kube);
    let printed = copy.printed(kube);
    let mut is_used = false;
    for pasted in printed.0.iter().filter(|pasted| pasted.line.starts_with("ipaudit release ")) {
        if !done.takes(&pasted.code, &pasted.line) {
            continue;
        }
        if is_used {
            copy = Copy::new(moment, etcd, kube);
        }
        is_used = true;
        if let Err(why) = carried_out(&copy, &pasted.line) {
            failures.push(format!("{name}: {}: {}\n    {why}", pasted.code, pasted.line));
        }
    }
    failures
}

/// The plan, what it wants to be looked at before, and the release itself.
fn carried_out(copy: &Copy<'_>, line: &str) -> Result<(), String> {
    let plan = copy.desk.shell(copy.moment, 0, line);
    if plan.status.code() != Some(0) && !line.contains(" --code ") {
        return Err(format!("the plan: {}", told(&plan)));
    }
    let text = String::from_utf8(plan.stdout).unwrap();
    for command in Printed::of(&Value::Null, &[&text]).0 {
        copy.desk.paste(copy.moment, 0, &command.line).map_err(|why| format!("{}: {why}", command.line))?;
    }
    let words = copy.desk.words_of(copy.moment, line);
    let before = Held::read(copy.etcd);
    let named = |flag: &str| -> Vec<String> {
        let behind = words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].clone());
        let inside = words.iter().filter_map(|word| word.strip_prefix(&format!("{flag}=")).map(str::to_owned));
        behind.chain(inside).map(|name| name.replace("\\,", ",")).collect()
    };
    let run = copy.desk.shell(copy.moment, 0, &format!("{line} --yes -o json"));
    let document: Value = serde_json::from_slice(&run.stdout).map_err(|e| format!("{e}: {}", told(&run)))?;
    let after = Held::read(copy.etcd);
    if line.contains(" --code ") {
        // What of all of a code may not go is told by its reason; but some of it goes.
        let done = document["outcome"]["done"].as_u64().unwrap_or_default();
        return if done > 0 && after != before { Ok(()) } else { Err(told(&run)) };
    }
    if run.status.code() != Some(0) {
        return Err(told(&run));
    }
    let (handles, addresses) = (named("--handle"), named("--address"));
    if handles.is_empty() && addresses.is_empty() {
        return Err("it names nothing".to_owned());
    }
    let kept: Vec<&String> = handles.iter().filter(|id| after.has_handle(id)).collect();
    let held: Vec<&String> = addresses.iter().filter(|address| after.has_address(address)).collect();
    let unknown: Vec<&String> = handles.iter().filter(|id| !before.has_handle(id)).collect();
    match kept.is_empty() && held.is_empty() && unknown.is_empty() {
        true => Ok(()),
        false => Err(format!("still there: {kept:?} {held:?}; never there: {unknown:?}")),
    }
}

/// Who has what, by the keys of IPAM themselves.
#[derive(PartialEq)]
struct Held {
    /// Ids of handles, of their own objects and of addresses.
    handles: Vec<String>,
    addresses: Vec<String>,
}

impl Held {
    fn read(etcd: &Etcd) -> Held {
        let mut held = Held { handles: Vec::new(), addresses: Vec::new() };
        for (key, value) in etcd.list("/calico/ipam/v2/") {
            let key = String::from_utf8_lossy(&key).into_owned();
            if let Some(id) = key.strip_prefix("/calico/ipam/v2/handle/") {
                held.handles.push(id.to_owned());
            }
            if !key.starts_with("/calico/ipam/v2/assignment/") {
                continue;
            }
            let Ok(block) = serde_json::from_slice::<Value>(&value) else { continue };
            held.add(&block);
        }
        held
    }

    fn add(&mut self, block: &Value) {
        let Some((first, _)) = block["cidr"].as_str().and_then(|cidr| cidr.split_once('/')) else { return };
        let Ok(first) = first.parse::<std::net::IpAddr>() else { return };
        let slots = block["allocations"].as_array().cloned().unwrap_or_default();
        for (ordinal, slot) in slots.iter().enumerate() {
            let attribute = slot.as_u64().and_then(|index| block["attributes"].get(usize::try_from(index).ok()?));
            let Some(attribute) = attribute else { continue };
            // It cools down: nobody has it any more.
            if attribute["handle_id"].is_null() && attribute["releasedAt"].is_string() {
                continue;
            }
            let address = match first {
                std::net::IpAddr::V4(first) => {
                    std::net::Ipv4Addr::from(u32::from(first) + u32::try_from(ordinal).unwrap()).to_string()
                }
                std::net::IpAddr::V6(first) => {
                    std::net::Ipv6Addr::from(u128::from(first) + ordinal as u128).to_string()
                }
            };
            self.addresses.push(address);
            self.handles.extend(attribute["handle_id"].as_str().map(str::to_owned));
        }
    }

    fn has_handle(&self, id: &str) -> bool {
        self.handles.iter().any(|handle| handle == id)
    }

    fn has_address(&self, address: &str) -> bool {
        self.addresses.iter().any(|held| held == address)
    }
}
