//! `ipaudit undo`: puts a wrong release back, where that is still right.

use clap::Args;

use super::gather::{Sources, present};
use super::journal::earlier;
use super::journal::record::Recorder;
use super::output::Streams;
use super::release::args::With;
use super::release::session::Session;
use super::release::{fresh, look};
use crate::checks::World;
use crate::error::Error;
use crate::exit::Exit;
use crate::judge::gates::{self, RunFacts};
use crate::judge::undo::judge;
use crate::ledger::Ledger;
use crate::plan::confirm::Plan;

/// Flags of `undo`.
#[derive(Args, Debug)]
pub struct UndoArgs {
    /// The number of the release, as `ipaudit release --list` shows it
    #[arg(value_name = "RELEASE")]
    pub release: i64,

    /// Do it without asking. Without it and without a terminal the plan is only shown
    #[arg(long, help_heading = "Safety")]
    pub yes: bool,

    #[command(flatten)]
    pub with: With,
}

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool, of etcd or the history; refusals are no errors but exit code 1.
pub async fn run(args: &UndoArgs, streams: &Streams) -> Result<Exit, Error> {
    args.with.check()?;
    let sources = Sources::open(&args.with.sources, streams).await?;
    let mut snapshot = look(&sources, streams).await?;
    let mut recorder = Recorder::open(&args.with.db, &snapshot)?;
    let db = args.with.db.path()?;
    earlier::settle_when_free(&db, &mut recorder, &sources, streams).await?;
    let absent = || {
        Error::user("undo a release")
            .cause(format!("the history has no release {}", args.release))
            .hint("ipaudit release --list")
    };
    let release = recorder.release(args.release)?.ok_or_else(absent)?;
    let past = recorder.past()?;
    snapshot.name_nodes_of(&past);
    let made = present();
    let past = (past.audits > 0).then_some(&past);
    let ledger = Ledger::build(&snapshot, args.with.scope, past);
    let world = World { snapshot: &snapshot, ledger: &ledger, past };
    let live = sources.kube_api().is_some();
    let facts = RunFacts { is_bulk: false, live, knows_pair: recorder.knows_pair(), present: present() };
    let conditions = gates::conditions(&world, facts);
    let mut plan = Plan { refusals: gates::refusals(&conditions), ..Plan::default() };
    let candidates = judge(&release, &ledger, conditions.fork, &mut plan);
    fresh::add_steps(&mut plan, candidates, &sources).await?;
    let session = Session {
        sources: &sources,
        db: &db,
        etcd: &snapshot.etcd,
        with: &args.with,
        yes: args.yes,
        rate: None,
        undoes: Some(args.release),
        asked: serde_json::json!({"undo": args.release}),
        made,
    };
    session.finish(plan, &mut recorder, streams).await
}
