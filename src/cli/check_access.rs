//! `ipaudit check-access`: what this user may read and write, before the first audit.

use clap::Args;

use super::gather::{Kube, NO_CLUSTER, open_etcd, open_kube, present};
use super::history_args::DbArgs;
use super::output::{OutputArgs, PlainOutput, Streams, hint};
use super::parse::time;
use super::source_args::SourceArgs;
use crate::error::{Error, chain};
use crate::exit::{Conclusion, Exit};
use crate::history;
use crate::model::Time;
use crate::model::access::{AccessReport, Right};
use crate::render::{access, json};
use crate::source::{etcd_access, kube_access};

/// Flags of `check-access`.
#[derive(Args, Debug)]
pub struct CheckAccessArgs {
    /// Also what a release needs: to write blocks, handles and workload endpoints. Nothing is written: etcd is asked what
    /// the user's roles permit
    #[arg(long, env = "IPAUDIT_RELEASE", help_heading = "What counts")]
    pub release: bool,

    #[command(flatten)]
    pub how: OutputArgs<PlainOutput>,

    /// Stands in the document as the time of asking (RFC 3339); what may be read and written is asked now all the same
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time, help_heading = "What counts")]
    pub now: Option<Time>,

    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub db: DbArgs,

    /// The audits will have no history: do not look at its file
    #[arg(long, env = "IPAUDIT_NO_HISTORY", help_heading = "History")]
    pub no_history: bool,
}

/// Runs the command. Each of the three sides is told on its own: settings of one that cannot be meant keep nothing of the
/// others from anybody.
///
/// # Errors
/// When standard output cannot be written; what may not be read is no error but exit code 3.
pub async fn run(args: &CheckAccessArgs, streams: &Streams) -> Result<Exit, Error> {
    let asked_at = args.now.unwrap_or_else(present);
    let spinner = streams.spinner("asking etcd");
    let etcd = match args.sources.etcd.settings() {
        Err(error) => etcd_access::unasked(&error),
        Ok(settings) => match open_etcd(&settings, streams).await {
            Ok(connection) => etcd_access::ask(&connection, args.release).await,
            Err(error) => etcd_access::unreachable(&error),
        },
    };
    spinner.set_message("asking Kubernetes");
    let (kube, kubernetes) = match open_kube(&args.sources.kube, streams).await {
        Err(error) => (kube_access::unasked(&chain(&error), hint(&error)), None),
        Ok(Kube::NotAsked) => (kube_access::unasked(NO_CLUSTER, None), None),
        Ok(Kube::Live(api)) => kube_access::ask(&api).await,
        Ok(Kube::Files(files)) => (kube_access::files(&files), None),
    };
    spinner.finish_and_clear();
    let mut rights = etcd.rights;
    rights.extend(kube);
    rights.extend(history_rights(args));
    let (user, status) = (etcd.user, etcd.status);
    let report = AccessReport { asked_at, release: args.release, rights, user, status, kubernetes };
    let conclusion = if report.is_complete() { Conclusion::Done } else { Conclusion::Incomplete };
    let mut text = Vec::new();
    let written = match args.how.output {
        PlainOutput::Table => access::table(&report, streams.width, streams.color, &mut text),
        PlainOutput::Json => json::indented(&access::document(&report, conclusion.exit()), &mut text),
    };
    written.map_err(|e| Error::own("print the rights").cause(e))?;
    streams.print(&text)?;
    Ok(conclusion.exit())
}

fn history_rights(args: &CheckAccessArgs) -> Vec<Right> {
    if args.no_history && !args.release {
        return Vec::new();
    }
    match args.db.path() {
        Ok(path) => history::access(&path, args.db.patience()),
        Err(error) => history::no_place(&error),
    }
}
