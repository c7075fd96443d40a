//! `--plan-out` and `--plan`: a plan that one makes and another carries out.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::args::{ReleaseArgs, is_standard_output};
use super::ask::Ask;
use super::make;
use crate::apply;
use crate::checks::evidence::shell;
use crate::cli::gather::{Sources, present};
use crate::cli::journal::record::Recorder;
use crate::cli::output::{PlainOutput, Streams};
use crate::environment::file::{Takes, read_bounded};
use crate::environment::stream;
use crate::environment::whole_file::WholeFile;
use crate::error::Error;
use crate::history::is_of_the_history;
use crate::model::{Foreign, Past, Snapshot};
use crate::plan::confirm::Plan;
use crate::plan::file::{Answered, Bound, LIMIT, PlanFile};
use crate::plan::refusal::{Note, Refusal};
use crate::record::cluster_key;

/// Reads a plan's file.
///
/// # Errors
/// A file that cannot be read, one that is no plan or too big for one, or a damaged one.
pub fn read(path: &Path) -> Result<PlanFile, Error> {
    let fail = || Error::input("read the plan").at(stream::name(path));
    const ANEW: &str = "make it anew: ipaudit release … --plan-out FILE";
    let bytes = read_bounded(path, LIMIT, Takes::Anything).map_err(|e| fail().cause(e))?;
    if bytes.is_empty() {
        return Err(fail().cause(format!("{} is empty", stream::what(path))).hint(ANEW));
    }
    PlanFile::read(&bytes).map_err(|why| fail().cause(why).hint(ANEW))
}

/// That a plan may be written there: where nothing is, or in the place of an older plan. Asked before anything is read,
/// for a file that replaces another one destroys it.
///
/// # Errors
/// Anything that is no plan (a link and a device too), and the files of the history at `db`.
pub fn may_be_written(path: &Path, db: &Path) -> Result<(), Error> {
    let refuse = |cause: &str| {
        let error = Error::user("write the plan").at(path.display().to_string()).cause(cause.to_owned());
        Err(error.hint("--plan-out FILE names a new file, or a plan that is replaced"))
    };
    if is_standard_output(path) {
        return Ok(());
    }
    if is_of_the_history(path, db) {
        return refuse("that is the history's own file");
    }
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => refuse(&e.to_string()),
        Ok(about) if !about.is_file() => refuse("it is there and no regular file"),
        Ok(_) => match read_bounded(path, LIMIT, Takes::Files) {
            Ok(bytes) if PlanFile::is_one(&bytes) => Ok(()),
            Ok(_) => refuse("it is there and no plan of ipaudit, and would be replaced"),
            Err(e) => refuse(&format!("it is there and cannot be told for a plan: {e}")),
        },
    }
}

/// Writes a plan into a file that only its owner can read, whole or not at all, or to standard output. Says how it is carried
/// out.
///
/// # Errors
/// A folder or standard output that cannot be written.
pub fn write(
    args: &ReleaseArgs,
    path: &Path,
    plan: &Plan,
    ask: &Ask,
    snapshot: &Snapshot,
    streams: &Streams,
) -> Result<(), Error> {
    let to_stdout = is_standard_output(path);
    // For people all of it is the answer; beside a document or the plan itself it is words.
    let is_answer = !to_stdout && args.with.how.output == PlainOutput::Table;
    let tell = |line: &str| match is_answer {
        true => streams.print(format!("{}\n", Foreign::from(line).shown()).as_bytes()),
        false => {
            streams.note(line);
            Ok(())
        }
    };
    let name = if to_stdout { "the plan".to_owned() } else { path.display().to_string() };
    if plan.steps.is_empty() {
        return tell(&format!("{name} was not written: there is nothing to carry out"));
    }
    let made_by = concat!("ipaudit ", env!("CARGO_PKG_VERSION")).to_owned();
    let file = PlanFile::of(plan, present().to_string(), made_by, bound(snapshot), ask.answered_for());
    let text = file.text().map_err(|e| Error::own("write the plan").cause(e))?;
    if text.len() as u64 > LIMIT {
        return Err(Error::input("write the plan")
            .cause(format!("it would have more than {LIMIT} bytes, and none would read it"))
            .hint("fewer at a time: --max N"));
    }
    match to_stdout {
        true => streams.print(&text)?,
        false => save(path, &args.with.db.path()?, &text)?,
    }
    let place = if to_stdout { "on standard output" } else { "in a file" };
    tell(&format!("nothing was written to etcd; the plan is {place} (digest {})", file.digest()))?;
    if !args.connected_by.is_empty() {
        let flags = args.connected_by.join(", ");
        tell(&format!("The command leaves out how this run was connected: {flags}."))?;
    }
    let file = if to_stdout { "FILE".to_owned() } else { shell(&name) };
    tell(&format!("ipaudit release --plan {file}"))
}

/// 0600 from its first byte, and under its name when it is whole.
fn save(path: &Path, db: &Path, text: &[u8]) -> Result<(), Error> {
    // Planning takes its time, and somebody may have put something there.
    may_be_written(path, db)?;
    let fail = |e: std::io::Error| Error::input("write the plan").at(path.display().to_string()).cause(e);
    let whole = WholeFile::create(path).map_err(fail)?;
    whole.file().write_all(text).and_then(|()| whole.finish()).map_err(fail)
}

/// The plan of a file, judged anew by every rule: exactly this plan, or refused as a whole.
///
/// # Errors
/// As for any plan.
pub async fn again(
    file: &PlanFile,
    ask: &Ask,
    sources: &Sources,
    snapshot: &mut Snapshot,
    past: &Past,
    recorder: &Recorder,
) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    plan.refusals.extend(file.of_another(&bound(snapshot)).map(Refusal::of_run));
    if plan.refusals.is_empty() {
        let seen = apply::read(sources.connection()?, &file.keys()).await?;
        plan.refusals = file.moved(&seen.fresh);
    }
    if plan.refusals.is_empty() {
        plan = make::plan(ask, sources, snapshot, past, recorder).await?;
        if plan.refusals.is_empty() {
            plan.refusals = file.differs(&plan);
        }
    }
    if !plan.refusals.is_empty() {
        plan.steps.clear();
    }
    // What explains a refusal best comes first.
    let before = plan.steps.is_empty().then(|| recorder.carried_out(file.digest())).transpose()?.flatten();
    let made = Note::MadeBefore(file.made.as_str().into(), consent(&file.asked));
    let first = before.map(Note::CarriedOut).into_iter().chain([made]);
    plan.notes.splice(0..0, first);
    Ok(plan)
}

/// What its maker answered for, as the flags that say it.
fn consent(asked: &Answered) -> Vec<Foreign> {
    let flags = [
        (asked.skip_age, "--skip-age"),
        (asked.knows, "--i-know-what-this-is"),
        (asked.exclusive, "--scope exclusive"),
    ];
    let flags = flags.into_iter().filter(|(said, _)| *said).map(|(_, flag)| flag.into());
    flags.chain(asked.nodes_off.iter().map(|node| format!("--node-is-off {node}").into())).collect()
}

fn bound(snapshot: &Snapshot) -> Bound {
    Bound {
        guid: snapshot.guid().to_owned(),
        kubernetes: cluster_key(snapshot).map(|key| key.uids).unwrap_or_default(),
        etcd: format!("{:x}", snapshot.etcd.cluster_id),
        revision: snapshot.etcd.revision,
    }
}

/// That nobody answers for more than the plan's maker did.
///
/// # Errors
/// A flag that the plan was made without.
pub fn same_word(file: &PlanFile, args: &ReleaseArgs) -> Result<(), Error> {
    let asked = &file.asked;
    let more = match () {
        () if args.skip_age && !asked.skip_age => "--skip-age",
        () if args.i_know_what_this_is && !asked.knows => "--i-know-what-this-is",
        () if args.node_is_off.iter().any(|node| !asked.nodes_off.contains(node)) => "--node-is-off",
        () if args.with.scope == crate::ledger::ScopeFlag::Exclusive && !asked.exclusive => "--scope exclusive",
        () => return Ok(()),
    };
    Err(Error::user("carry out the plan")
        .cause(format!("it was made without {more}"))
        .hint(format!("drop it, or make the plan anew with {more}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_takes_the_place_of_nothing_but_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let db = at("h.db");
        std::fs::write(at("plan"), r#"{"schema": "ipaudit/plan/v1"}"#).unwrap();
        std::fs::write(at("other"), "{}").unwrap();
        std::os::unix::fs::symlink(at("plan"), at("link")).unwrap();
        for free in [at("new"), at("plan"), "-".into()] {
            may_be_written(&free, &db).unwrap();
        }
        let told = |path: &Path| {
            let error = may_be_written(path, &db).unwrap_err();
            error.cause.unwrap().to_string()
        };
        for (path, cause) in [
            ("/dev/null".into(), "it is there and no regular file"),
            (at("link"), "it is there and no regular file"),
            (folder.path().to_owned(), "it is there and no regular file"),
            (at("other"), "it is there and no plan of ipaudit, and would be replaced"),
            (db.clone(), "that is the history's own file"),
            (at("h.db-wal"), "that is the history's own file"),
        ] {
            assert_eq!(told(&path), cause, "{path:?}");
        }
    }

    #[test]
    fn a_plan_without_an_end_is_read_up_to_its_limit() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.cause.unwrap().to_string(), format!("it has more than {LIMIT} bytes"));
    }
}
