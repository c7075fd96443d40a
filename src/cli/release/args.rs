//! Flags of `release`, and what `undo` has of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::checks::addresses::{leaked_service_address, leaked_tunnel_address, surplus_service_address};
use crate::checks::handles::orphaned_handle;
use crate::checks::{self, ALL, Check};
use crate::cli::history_args::DbArgs;
use crate::cli::node_evidence_args::NodeEvidenceArgs;
use crate::cli::output::{OutputArgs, PlainOutput};
use crate::cli::parse::{duration, time};
use crate::cli::source_args::SourceArgs;
use crate::error::Error;
use crate::judge::by_hand;
use crate::judge::only::Only;
use crate::ledger::ScopeFlag;
use crate::model::{Addr, Code, Time};

/// Flags of `release`.
#[derive(Args, Debug)]
#[command(next_help_heading = "What to release")]
pub struct ReleaseArgs {
    /// Release all addresses of this handle; the handle itself when it is orphaned; may be given several times
    ///
    /// Or with commas; a comma of the id itself is written `\,`
    #[arg(long, value_name = "ID")]
    pub handle: Vec<String>,

    /// Release the handle of this address; may be given several times
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub address: Vec<Addr>,

    /// Release all findings of this code: IPA110 (leaked addresses) or IPA201 (orphaned handles; those whose id comes again,
    /// of tunnels, services, machines and very old pods, are left out and told); --older-than goes with it. Of IPA402 to
    /// IPA405, IPA501 and IPA502 the commands that repair them are printed, and nothing is done
    #[arg(long, value_name = "CODE", conflicts_with_all = ["handle", "address"], value_parser = checks::one)]
    pub code: Option<Code>,

    /// Only what the history first saw so long ago (0s: whatever it saw); goes with --code, which wants it
    #[arg(long, value_name = "DURATION", requires = "code", value_parser = duration, allow_hyphen_values = true)]
    pub older_than: Option<Duration>,

    /// Only on these nodes, by Calico's or Kubernetes' name; with --code. A handle goes whole, with what it has elsewhere
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub node: Vec<String>,

    /// Only of pods of these namespaces; with --code of addresses or endpoints
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub namespace: Vec<String>,

    /// Only of these pools, by name or range; with --code
    #[arg(long, value_name = "POOL", value_delimiter = ',')]
    pub pool: Vec<String>,

    #[command(flatten)]
    pub nodes: NodeEvidenceArgs,

    /// Write the plan into this file (-: to standard output); for somebody else to carry out with --plan; nothing is written
    /// to etcd
    #[arg(long, value_name = "FILE", conflicts_with_all = ["yes", "list", "plan"])]
    pub plan_out: Option<PathBuf>,

    /// Carry out exactly the plan of this file (-: of standard input), or nothing: it is judged anew by every rule, and refused as a whole when
    /// any of its keys has moved
    #[arg(long, value_name = "FILE", conflicts_with_all = ["handle", "address", "code", "list"])]
    pub plan: Option<PathBuf>,

    /// At most so many at a time; with --code
    #[arg(long, value_name = "N", env = "IPAUDIT_MAX", default_value_t = 1000, help_heading = "Safety")]
    pub max: usize,

    /// At most so many etcd transactions a second; one holds up to 60 orphaned handles
    #[arg(long, value_name = "N", env = "IPAUDIT_RATE", value_parser = rate, help_heading = "Safety")]
    pub rate: Option<f64>,

    /// Do it without asking. Without it and without a terminal the plan is only shown
    #[arg(long, help_heading = "Safety")]
    pub yes: bool,

    /// Do not ask for three audits that saw it; every other rule stays. Not for orphaned handles whose id comes again
    #[arg(long, help_heading = "Safety")]
    pub skip_age: bool,

    /// This node is switched off, on my word: addresses of its pods may go though it is not Ready
    #[arg(long, value_name = "NODE", value_delimiter = ',', help_heading = "Safety")]
    pub node_is_off: Vec<String>,

    /// Release what is known to be special; with one --address: though it is a tunnel's, a service's, a machine's, of unknown kind, or awaited
    /// (IPA133). With one orphaned --handle: release it though its id comes again, when nobody is taking it or giving it
    /// back right now: a CNI ADD under way is fenced off, a DEL under way is not
    #[arg(long, help_heading = "Safety")]
    pub i_know_what_this_is: bool,

    /// Show past releases with their outcomes, and do nothing
    #[arg(long, env = "IPAUDIT_LIST", exclusive = false, help_heading = "Output")]
    pub list: bool,

    /// The connection's flags that stand on the command line, not in the environment alone.
    #[arg(skip)]
    pub connected_by: Vec<&'static str>,

    #[command(flatten)]
    pub with: With,
}

/// Flags of `release` and `undo`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct With {
    #[command(flatten)]
    pub how: OutputArgs<PlainOutput>,

    /// Every key of every transaction, and every refusal; without it the first ones in full
    #[arg(long, env = "IPAUDIT_ALL")]
    pub all: bool,

    /// Whose the datastore is. exclusive: no other cluster and no plain host uses it. auto: decided from the nodes
    #[arg(long, value_name = "SCOPE", default_value = "auto", env = "IPAUDIT_SCOPE", help_heading = "What counts")]
    pub scope: ScopeFlag,

    #[command(flatten)]
    pub db: DbArgs,

    /// Refused here: what is written now is judged by the time it is
    #[arg(long, value_name = "TIME", value_parser = time, hide = true)]
    pub now: Option<Time>,

    #[command(flatten)]
    pub sources: SourceArgs,
}

impl With {
    /// # Errors
    /// `--now`.
    pub fn check(&self) -> Result<(), Error> {
        match self.now {
            None => Ok(()),
            Some(_) => {
                let hint = "drop --now";
                Err(Error::user("judge a release by another time than now").hint(hint))
            }
        }
    }
}

impl ReleaseArgs {
    /// The ids of `--handle`, split at commas. An id is whatever somebody wrote into etcd, and may have one: `\,`.
    pub fn handles(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for given in &self.handle {
            let mut goes_on = false;
            for part in given.split(',') {
                let (text, more) = part.strip_suffix('\\').map_or((part, false), |text| (text, true));
                match ids.last_mut().filter(|_| goes_on) {
                    Some(id) => id.push_str(text),
                    None => ids.push(text.to_owned()),
                }
                goes_on = more;
                if let Some(id) = ids.last_mut().filter(|_| more) {
                    id.push(',');
                }
            }
            // A backslash at the very end stands before no comma.
            if let Some(id) = ids.last_mut().filter(|_| goes_on) {
                id.pop();
                id.push('\\');
            }
        }
        ids
    }

    /// What clap cannot check.
    ///
    /// # Errors
    /// Flags that do not go together.
    pub fn check(&self) -> Result<(), Error> {
        self.with.check()?;
        let error = |words: &str, hint: &str| Err(Error::user("tell what is to be released").cause(words).hint(hint));
        if self.handle.is_empty() && self.address.is_empty() && self.code.is_none() && self.plan.is_none() && !self.list
        {
            let code = orphaned_handle::CHECK.code;
            let hint = format!("--handle ID, --address ADDRESS, --plan FILE, or --code {code} --older-than 24h");
            return error("nothing is named", &hint);
        }
        // clap asks for no flag that another one excludes.
        if self.code.is_none() && [&self.node, &self.namespace, &self.pool].iter().any(|names| !names.is_empty()) {
            return error("--node, --namespace and --pool go with --code", "name the things, or --code CODE");
        }
        if self.plan_out.as_deref().is_some_and(is_standard_output) && self.with.how.output == PlainOutput::Json {
            return Err(Error::user("write the plan to standard output")
                .cause("-o json prints another document there")
                .hint("--plan-out FILE, or drop -o json"));
        }
        let check = self.code.and_then(checks::find);
        let by_hand = self.code.and_then(by_hand::check).is_some();
        if let Some(check) = check.filter(|check| !check.ties.releasable && !by_hand) {
            let releasable = ALL.iter().filter(|check| check.ties.releasable).map(|check| check.code.to_string());
            let cured: Vec<String> = by_hand::CHECKS.iter().map(|check| check.code.to_string()).collect();
            let words = format!(
                "only {} can be released by code; {} are answered with the commands that cure them",
                releasable.collect::<Vec<_>>().join(" and "),
                cured.join(", ")
            );
            return error(&words, &other_way(check));
        }
        if check.is_some() && !by_hand && self.older_than.is_none() {
            return error("--code wants --older-than", "--older-than 24h; 0s: whatever the history saw");
        }
        if let Some(check) = check.filter(|check| !self.namespace.is_empty() && !Only::have_namespaces(check.subject)) {
            let words = format!("{} is of no namespace", check.subject.word());
            return error(&format!("--namespace does not go with {}: {words}", check.code), "--node, --pool");
        }
        if self.i_know_what_this_is && self.plan.is_none() && self.address.len() + self.handles().len() != 1 {
            let words = "--i-know-what-this-is goes with exactly one --address or --handle";
            return error(words, "one at a time (rule 7)");
        }
        Ok(())
    }
}

/// The checks whose addresses are released one by one, with the word for it.
const ALONE: [&Check; 3] =
    [&leaked_tunnel_address::CHECK, &leaked_service_address::CHECK, &surplus_service_address::CHECK];

/// What to do about a finding that no `--code` takes.
fn other_way(check: &Check) -> String {
    let code = check.code;
    match ALONE.iter().any(|alone| alone.code == code) {
        true => format!("one by one: --address A --i-know-what-this-is; first read `ipaudit explain {code}`"),
        false => format!("`ipaudit explain {code}` says what to do"),
    }
}

/// Whether a plan goes to standard output: then every word about it goes to standard error.
pub fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 =
        text.trim_end_matches("/s").parse().map_err(|_| format!("{text:?} is no number; write 5 or 5/s"))?;
    match number.is_finite() && number > 0.0 && number <= 100_000.0 {
        true => Ok(number),
        false => Err("must be more than 0 and at most 100000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ReleaseArgs,
    }

    #[test]
    fn handles_are_parted_at_commas_that_are_not_their_own() {
        let handles = |given: &[&str]| {
            let line = given.iter().flat_map(|id| ["--handle", id]);
            Line::parse_from(std::iter::once("release").chain(line)).args.handles()
        };
        assert_eq!(handles(&["a", "b"]), ["a", "b"]);
        assert_eq!(handles(&["a,b", "c"]), ["a", "b", "c"]);
        assert_eq!(handles(&[r"a\,b,c"]), ["a,b", "c"]);
        assert_eq!(handles(&[r"\,\,", "c"]), [",,", "c"]);
        assert_eq!(handles(&[r"lb-\x41", r"a\"]), [r"lb-\x41", r"a\"]);
    }

    #[test]
    fn a_code_that_is_not_taken_is_told_with_those_that_are_and_its_own_way() {
        let refused =
            |code: &str| Line::parse_from(["release", "--code", code, "--older-than", "24h"]).args.check().unwrap_err();
        for (code, hint) in [
            ("IPA101", "`ipaudit explain IPA101` says what to do"),
            ("IPA111", "one by one: --address A --i-know-what-this-is; first read `ipaudit explain IPA111`"),
        ] {
            let error = refused(code);
            assert_eq!(error.hint, hint);
            let words =
                "only IPA110 and IPA201 can be released by code; IPA402, IPA403, IPA404, IPA405, IPA501, IPA502 are";
            let cause = error.cause.unwrap().to_string();
            assert!(cause.starts_with(words), "{cause}");
        }
    }
}
