//! `ipaudit check-access`: what this user may read and write, before the first audit.

use clap::Args;

use super::gather::{Kube, NO_CLUSTER, Sources};
use super::history_args::DbArgs;
use super::output::{PlainOutput, Streams};
use super::source_args::SourceArgs;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::history;
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

    /// How to print
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "table",
        env = "IPAUDIT_OUTPUT",
        help_heading = "Output"
    )]
    pub output: PlainOutput,

    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub db: DbArgs,

    /// The audits will have no history: do not look at its file
    #[arg(long, env = "IPAUDIT_NO_HISTORY", help_heading = "History")]
    pub no_history: bool,
}

/// Runs the command.
///
/// # Errors
/// Settings that cannot be meant; what may not be read is no error but exit code 3.
pub async fn run(args: &CheckAccessArgs, streams: &Streams) -> Result<Exit, Error> {
    let sources = Sources::open(&args.sources, streams).await?;
    let spinner = streams.spinner("asking etcd");
    let etcd = match sources.connection() {
        Ok(connection) => etcd_access::ask(connection, args.release).await,
        Err(error) => etcd_access::unreachable(&error),
    };
    spinner.set_message("asking Kubernetes");
    let (kube, kubernetes) = match &sources.kube {
        Kube::NotAsked => (kube_access::not_asked(NO_CLUSTER), None),
        Kube::Live(api) => kube_access::ask(api).await,
        Kube::Files(files) => (kube_access::files(files), None),
    };
    spinner.finish_and_clear();
    let mut rights = etcd.rights;
    rights.extend(kube);
    rights.extend(history_rights(args)?);
    let report = AccessReport { release: args.release, rights, user: etcd.user, status: etcd.status, kubernetes };
    let conclusion = if report.is_complete() { Conclusion::Done } else { Conclusion::Incomplete };
    let mut text = Vec::new();
    let written = match args.output {
        PlainOutput::Table => access::table(&report, streams.width, streams.color, &mut text),
        PlainOutput::Json => json::indented(&access::document(&report, conclusion.exit()), &mut text),
    };
    written.map_err(|e| Error::own("print the rights").cause(e))?;
    streams.print(&text)?;
    Ok(conclusion.exit())
}

fn history_rights(args: &CheckAccessArgs) -> Result<Vec<Right>, Error> {
    if args.no_history && !args.release {
        return Ok(Vec::new());
    }
    Ok(history::access(&args.db.path()?, args.db.patience()))
}
