//! `ipaudit audit --watch`: the same audit again and again, until somebody ends it.
//!
//! Each begins so long after the one before it began, and none before that one has ended. One that fails is told, and
//! tried again: whoever watches wants to know when it works once more.

use std::io::{ErrorKind, Write};

use tokio::time::Instant;

use super::audit::{self, AuditArgs};
use super::audit_formats::Output;
use super::gather;
use super::output::{self, Streams};
use super::signal::Stop;
use crate::environment::stream::{is_read_once, is_standard_input, name};
use crate::error::{Error, Fault};
use crate::exit::{Conclusion, Exit};

/// Runs the command: one audit, or one after the other.
///
/// # Errors
/// As [`audit::run`]; of a watch wrong usage alone, which no later audit cures.
pub async fn run(args: &AuditArgs, streams: &Streams) -> Result<Exit, Error> {
    let Some(every) = args.watch else { return audit::run(args, streams).await };
    if args.view.how.output == Output::Sarif {
        let error = Error::user("print audit after audit as SARIF").cause("a log of SARIF is of one audit");
        return Err(error.hint("-o jsonl has a line a finding, whichever audit found it"));
    }
    if args.sources.kube.kube_objects.iter().any(|file| is_standard_input(file)) {
        let error = Error::user("read Kubernetes' objects from standard input for audit after audit");
        return Err(error.cause("it ends with the first audit").hint("a file can be read again: --kube-objects FILE"));
    }
    if let Some(file) = args.settings.ignore.settings.as_deref().filter(|file| is_read_once(file)) {
        let error = Error::user("read the settings for audit after audit").at(name(file));
        let cause = format!("{} ends with the first audit", if is_standard_input(file) { "it" } else { "a pipe" });
        return Err(error.cause(cause).hint("a file can be read again: --settings FILE"));
    }
    let failed = Conclusion::Failed.exit();
    let answer = "ending after the audit that runs; Ctrl-C once more: at once";
    let given_up = "the audit that ran did not end within 8s of the signal: given up, and not recorded";
    let stop = Stop::on_signal_or_at_once(answer, "ending: no audit runs", given_up, *streams);
    let mut exit = None;
    loop {
        let began = Instant::now();
        if let Some(exit) = exit.filter(|_| !is_parted(args, streams)) {
            return Ok(exit);
        }
        let ended = match audit::run(args, streams).await {
            Ok(ended) => ended,
            Err(error) if error.fault == Fault::User => return Err(error),
            Err(error) => {
                output::tell(&error, None);
                streams.warn("this audit failed; the watch goes on");
                failed
            }
        };
        exit = Some(ended);
        stop.pause(began + every).await;
        if stop.is_wanted() {
            return Ok(ended);
        }
    }
}

/// Parts this audit's output from the one before, in formats that do not do so themselves; false when whoever read it went
/// away.
fn is_parted(args: &AuditArgs, streams: &Streams) -> bool {
    let now = gather::present();
    let line = match args.view.how.output {
        Output::Table if !streams.quiet => format!("\n--- {now} ---\n"),
        Output::Wide if !args.view.lines.no_headers => format!("\n--- {now} ---\n"),
        Output::Yaml => "---\n".to_owned(),
        _ => return true,
    };
    let mut out = streams.out();
    let written = out.write_all(line.as_bytes()).and_then(|()| out.finish());
    !written.is_err_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
