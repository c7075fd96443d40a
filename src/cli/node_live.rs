//! This node, read where the command runs: as often as was said, and as far as rights go.

use std::time::Duration;

use clap::Args;

use super::output::Streams;
use super::parse::duration;
use crate::error::Error;
use crate::model::NodeEvidence;
use crate::model::node_evidence::{LookInside, RoutesKept};

/// How this node is read.
#[derive(Args, Debug)]
pub struct LiveArgs {
    /// How to look into pods: by files of their processes (proc, wants hostPID), by asking the kernel (nsid, wants
    /// CAP_NET_ADMIN) or by entering them (netns, wants CAP_SYS_ADMIN); auto: the strongest that was granted
    #[arg(
        long,
        value_name = "MEANS",
        default_value = "auto",
        env = "IPAUDIT_INSIDE",
        help_heading = "The node",
        conflicts_with_all = ["from_ip", "node_evidence"]
    )]
    pub inside: LookInside,

    /// Read the node a second time after this, and tell what was so both times; 0: read it once. Felix needs up to 10s for what
    /// is new
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15s",
        env = "IPAUDIT_TWICE",
        value_parser = duration, allow_hyphen_values = true,
        help_heading = "The node",
        conflicts_with_all = ["from_ip", "node_evidence"]
    )]
    pub twice: Duration,

    /// Which routes to take. workload: those of pods and tunnels, of single addresses, blackholes and defaults; without all of them
    /// nobody can say which block has none
    #[arg(
        long,
        value_name = "ROUTES",
        default_value = "all",
        env = "IPAUDIT_ROUTES",
        help_heading = "The node",
        conflicts_with_all = ["from_ip", "node_evidence"]
    )]
    pub routes: RoutesKept,
}

/// Reads this node under its Calico name: the one that was said, or the one that it gives itself.
///
/// # Errors
/// A node without a name; a build that cannot read nodes.
#[cfg(all(feature = "node", target_os = "linux"))]
pub async fn read(
    args: &LiveArgs,
    node: Option<&str>,
    prefixes: &[String],
    streams: &Streams,
) -> Result<NodeEvidence, Error> {
    use crate::source::node::{LiveNode, name_of_this_node};
    let node = node.map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
    let node = node.or_else(name_of_this_node).ok_or_else(|| {
        Error::user(DOING).cause("nobody says what Calico calls it").hint("say --node NAME, or set NODENAME")
    })?;
    streams.verbose(&format!("reading this machine as Calico's node {node}"));
    let live = LiveNode { node, prefixes: prefixes.to_vec(), routes: args.routes, inside: args.inside };
    let first = reading(&live).await?;
    let twice = !args.twice.is_zero();
    let last = if twice {
        streams.note(&format!(
            "read once, and again in {} (--twice 0: not again)",
            humantime::format_duration(args.twice)
        ));
        tokio::time::sleep(args.twice).await;
        Some(reading(&live).await?)
    } else {
        None
    };
    let denied = &last.as_ref().unwrap_or(&first).denied;
    if args.inside == LookInside::Auto && !denied.is_empty() {
        let each: Vec<String> = denied.iter().map(|(means, why)| format!("{}: {why}", means.word())).collect();
        streams.note(&format!("pods were not looked into, no means was granted: {}", each.join("; ")));
    }
    Ok(match last {
        Some(last) => NodeEvidence::twice(first.evidence, last.evidence),
        None => first.evidence,
    })
}

#[cfg(all(feature = "node", target_os = "linux"))]
const DOING: &str = "read this node";

/// One reading. It waits for nobody but the kernel; the thread is its own since it is not this one's to block.
#[cfg(all(feature = "node", target_os = "linux"))]
async fn reading(live: &crate::source::node::LiveNode) -> Result<crate::source::node::LiveReading, Error> {
    let (live, now) = (live.clone(), super::gather::present());
    tokio::task::spawn_blocking(move || live.read(now)).await.map_err(|e| Error::own(DOING).cause(e))
}

/// Nothing is read.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "node", target_os = "linux")))]
pub async fn read(_: &LiveArgs, _: Option<&str>, _: &[String], _: &Streams) -> Result<NodeEvidence, Error> {
    let hint = "give what ip prints there (--from-ip DIR) or a capture (--node-evidence), or use a build for Linux with \
        the feature node";
    Err(Error::user("read this node").cause("this ipaudit was built without reading nodes").hint(hint))
}
