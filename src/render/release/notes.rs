//! What is said beside a plan, and the commands that belong to it: the part of the table of words ([`super::words`]) that
//! stops nothing.

use std::time::Duration;

use crate::checks::evidence::restarts::{restart_caveat, restart_command};
use crate::checks::evidence::{release_handle, shell};
use crate::checks::handles::orphaned_handle;
use crate::model::{Code, Foreign};
use crate::plan::refusal::{ByWord, Note};
use crate::render::age::age;
use crate::render::number::grouped;

/// Not yet.
const WAITS: &str = ", once audits have seen it long enough";
/// The operator's word for a single thing.
const KNOWS: &str = "--i-know-what-this-is";
fn too_new(code: Code, many: usize, oldest: Duration, older_than: Duration) -> String {
    let (are, them) = if many == 1 { ("is", "it") } else { ("are", "the oldest of them") };
    let known = match oldest.is_zero() {
        true => "no audit has seen any before".to_owned(),
        false => format!("audits have known {them} for {}", age(oldest)),
    };
    let many = grouped(many as u64);
    format!("{many} of {code} {are} too new for --older-than {}: {known}, which is what it counts", age(older_than))
}

/// What is said beside a plan, in one sentence with its commands.
pub fn note(note: &Note) -> Foreign {
    let (words, commands) = note_parts(note);
    let commands: Vec<String> = commands.iter().map(|command| format!("`{command}`")).collect();
    let colon = if commands.is_empty() { "" } else { ": " };
    format!("{words}{colon}{}", commands.join("; ")).into()
}

/// What is said beside a plan, and the commands that belong to it.
pub(super) fn note_parts(note: &Note) -> (String, Vec<String>) {
    let words = match note {
        Note::NoSuchHandle(id) => format!("{}: no such handle, and no block has an address of it", id.raw()),
        Note::NotAllocated(address) => format!("{address} is not allocated"),
        Note::GivenBack(subject, release) => format!("{}: release {release} gave it back already", subject.raw()),
        Note::TooNew(code, many, oldest, older_than) => too_new(*code, *many, *oldest, *older_than),
        Note::AddressByWord(by_word) => return address_by_word(by_word),
        Note::OrphanByWord { id, waits } => {
            let command = format!("{} {KNOWS}", release_handle(id.raw()));
            let when = if *waits { WAITS } else { "" };
            return (format!("{}: by your word{when}", id.raw()), vec![command]);
        }
        Note::MoreByWord(many) => format!("{} more go by your word, one at a time", grouped(*many as u64)),
        Note::LeftOut(many, first) => return left_out(*many, first.raw()),
        Note::NoSuchNode(node) => {
            format!("--node-is-off {}: neither Calico nor Kubernetes has a node of this name", node.raw())
        }
        Note::AllGone(batch) => format!("{}: all of them are gone or changed hands", batch.raw()),
        Note::Restart(address, namespace, pod, comeback) => {
            let (namespace, pod) = (namespace.raw(), pod.raw());
            let caveat = restart_caveat(*comeback, "it", true).map(|caveat| format!("; {caveat}")).unwrap_or_default();
            let words = format!("{address}: the pod to restart is {namespace}/{pod}{caveat}");
            return (words, restart_command(*comeback, namespace, pod).into_iter().collect());
        }
        Note::MadeBefore(made, flags) => {
            let flags: String = flags.iter().map(|flag| format!(" {}", flag.raw())).collect();
            let with = if flags.is_empty() { "" } else { " with" };
            format!("the plan was made at {}{with}{flags}, and is judged anew", made.raw())
        }
        Note::CarriedOut(release) => format!("this plan was carried out already, as release {release}"),
        Note::NoHistoryAt(path) => format!("there is no history at {} yet: no audit has seen anything", path.raw()),
    };
    (words, Vec::new())
}

fn address_by_word(by_word: &ByWord) -> (String, Vec<String>) {
    let ByWord { address, is_watched, waits, said_off, doubtful } = by_word;
    let mut words = format!("{address}: by your word");
    let mut command = format!("ipaudit release --address {address} {KNOWS}");
    if !is_watched {
        words.push_str(", also for its age, which no audit watches");
        command.push_str(" --skip-age");
    }
    for node in doubtful {
        words.push_str(&format!(", if {} is switched off", node.raw()));
    }
    for node in said_off.iter().chain(doubtful) {
        command.push_str(&format!(" --node-is-off {}", shell(node.raw())));
    }
    if *waits {
        words.push_str(WAITS);
    }
    (words, vec![command])
}

fn left_out(many: usize, first: &str) -> (String, Vec<String>) {
    let mut commands = vec![format!("{} {KNOWS}", release_handle(first))];
    let which = match many {
        1 => "1 orphaned handle is left out, whose id comes again".to_owned(),
        many => {
            commands.push(format!("ipaudit audit --code {} --all", orphaned_handle::CHECK.code));
            format!("{} orphaned handles are left out, whose ids come again", grouped(many as u64))
        }
    };
    let words = "(tunnels, KubeVirt machines, LoadBalancer services, very old pods); they go one at a time";
    (format!("{which} {words}"), commands)
}
