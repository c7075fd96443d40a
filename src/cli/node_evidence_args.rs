//! Where the evidence of nodes is: whoever judges an address takes it.

use std::path::PathBuf;

use clap::Args;

use super::output::Streams;
use crate::error::Error;
use crate::model::NodesSeen;
use crate::source::node_captures;

/// Captures of nodes.
#[derive(Args, Debug, Clone, Default)]
pub struct NodeEvidenceArgs {
    /// Captures of nodes (ipaudit node --capture): files, or a folder with one of every node; comma separated or repeated. What
    /// their kernels really do is then judged too
    #[arg(
        long,
        value_name = "PATH",
        value_delimiter = ',',
        env = "IPAUDIT_NODE_EVIDENCE",
        help_heading = "Connection"
    )]
    pub node_evidence: Vec<PathBuf>,
}

impl NodeEvidenceArgs {
    /// What they say; `None`: nobody asked.
    ///
    /// # Errors
    /// A file that was named and is no capture; a folder without any.
    pub fn read(&self, streams: &Streams) -> Result<Option<NodesSeen>, Error> {
        if self.node_evidence.is_empty() {
            return Ok(None);
        }
        let read = node_captures::read(&self.node_evidence)?;
        read.warnings.iter().for_each(|warning| streams.warn(warning));
        Ok(Some(read.seen))
    }
}
