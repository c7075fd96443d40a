//! Where the evidence of nodes is: whoever judges an address takes it.

use std::path::PathBuf;

use clap::Args;

use super::output::Streams;
use crate::checks::evidence::shell;
use crate::error::Error;
use crate::model::{Foreign, NodesSeen, Snapshot};
use crate::source::kube_api::KubeApi;
use crate::source::node_captures::{self, NodeCaptures};
use crate::source::node_pods::{self, PODS, PodCaptures, PodsPlace};

const DOING: &str = "read the nodes' evidence";

/// Captures of nodes.
#[derive(Args, Debug, Clone, Default)]
pub struct NodeEvidenceArgs {
    /// Captures of nodes (ipaudit node --capture): files, a folder with one of every node, or pods:NAMESPACE/SELECTOR, whose
    /// logs have them; comma separated or repeated. What their kernels really do is then judged too
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
    /// What the files say; `None`: nobody asked for one. What is no capture is told.
    ///
    /// # Errors
    /// A file that was named and does not exist.
    pub fn files(&self, streams: &Streams) -> Result<Option<NodesSeen>, Error> {
        let Some(read) = self.captures()? else { return Ok(None) };
        read.warnings.iter().for_each(|warning| streams.warn(warning));
        Ok(Some(read.seen))
    }

    /// What the files say, where each that was named has to say something: what it would have said may forbid.
    ///
    /// # Errors
    /// As [`NodeEvidenceArgs::files`]; a file that was named and is no capture; a folder without any.
    pub fn every_file(&self, streams: &Streams) -> Result<Option<NodesSeen>, Error> {
        let Some(read) = self.captures()? else { return Ok(None) };
        if let Some(bad) = read.bad {
            return Err(bad);
        }
        read.warnings.iter().for_each(|warning| streams.warn(warning));
        Ok(Some(read.seen))
    }

    fn captures(&self) -> Result<Option<NodeCaptures>, Error> {
        let is_pods = |path: &PathBuf| path.to_str().is_some_and(|text| text.starts_with(PODS));
        let files: Vec<PathBuf> = self.node_evidence.iter().filter(|path| !is_pods(path)).cloned().collect();
        if files.is_empty() { Ok(None) } else { node_captures::read(&files).map(Some) }
    }

    /// What the files say, and nobody else.
    ///
    /// # Errors
    /// As [`NodeEvidenceArgs::every_file`]; pods, which the API server alone can be asked for.
    pub fn read(&self, streams: &Streams) -> Result<Option<NodesSeen>, Error> {
        match self.pods()?.first() {
            Some(place) => Err(no_api(place)),
            None => self.every_file(streams),
        }
    }

    /// What the files said, and what the pods say. Pods that cannot be read are no error: it is told by the coverage.
    ///
    /// # Errors
    /// Pods where there is no API.
    pub async fn and_pods(
        &self,
        files: Option<NodesSeen>,
        api: Option<&KubeApi>,
        streams: &Streams,
    ) -> Result<Option<NodesSeen>, Error> {
        let mut seen = files;
        for place in self.pods()? {
            let api = api.ok_or_else(|| no_api(&place))?;
            let PodCaptures { captures, warnings, failure } = node_pods::read(api, &place).await;
            warnings.iter().for_each(|warning| streams.warn(warning));
            let before = seen.take().unwrap_or_default();
            let failed = failure.map(|failure| {
                let (state, hint) = (failure.state(), Foreign::from(failure.hint()));
                (state, Foreign::from(format!("{place}: {}", failure.detail())), hint)
            });
            let is_none = before.nodes.is_empty() && captures.is_empty();
            let failures = before.failed.into_iter().chain(failed);
            let failed = match is_none {
                true => failures.take(1).next(),
                // The others gave something: what did not is told.
                false => failures.map(|(_, why, _)| streams.warn(&why.shown())).fold(None, |none, ()| none),
            };
            let all = before.nodes.into_iter().chain(captures).collect();
            let mut now = NodesSeen::newest(all, true);
            now.failed = failed;
            seen = Some(now);
        }
        Ok(seen)
    }

    fn pods(&self) -> Result<Vec<PodsPlace>, Error> {
        let places =
            self.node_evidence.iter().filter_map(|place| place.to_str()).filter(|place| place.starts_with(PODS));
        places.map(|place| place.parse().map_err(|why: String| Error::user(DOING).at(place).cause(why))).collect()
    }
}

/// So many captures that are not taken are told.
const TOLD: usize = 5;

/// Takes what nodes say, and tells what of it is nobody's.
pub fn take(snapshot: &mut Snapshot, nodes: NodesSeen, streams: &Streams) {
    snapshot.take_nodes(nodes);
    let not_taken = &snapshot.nodes_seen.not_taken;
    not_taken.iter().take(TOLD).for_each(|words| streams.warn(&words.shown()));
    let more = not_taken.len().saturating_sub(TOLD);
    if more > 0 {
        streams.warn(&format!("{more} more captures of other nodes than their pods' are not taken"));
    }
}

fn no_api(place: &PodsPlace) -> Error {
    let (namespace, selector) = (shell(&place.namespace), shell(&place.selector));
    let hint =
        format!("kubectl -n {namespace} logs -l {selector} --tail=-1 > FILE saves them for --node-evidence FILE");
    Error::user(DOING).at(place.to_string()).cause("no API server is asked here").hint(hint)
}
