//! Flags that narrow what is shown to a place.

use clap::Args;

use crate::checks;
use crate::model::Narrow;

/// Where findings belong, or whom their evidence names.
#[derive(Args, Debug, Clone, Default)]
pub struct PlaceArgs {
    /// Show (and count for exit 1) only what belongs to this node or names it; by Calico's or Kubernetes' name
    #[arg(long, value_name = "NODE", env = "IPAUDIT_NODE")]
    pub node: Option<String>,

    /// Show (and count for exit 1) only what belongs to this namespace or has a pod of it in its evidence
    #[arg(short, long, value_name = "NS", env = "IPAUDIT_NAMESPACE")]
    pub namespace: Option<String>,

    /// Show (and count for exit 1) only what belongs to this pool or has an address of it in its evidence; by name or range
    #[arg(long, value_name = "POOL", env = "IPAUDIT_POOL")]
    pub pool: Option<String>,
}

impl PlaceArgs {
    /// The view of this place.
    pub fn narrow(&self) -> Narrow {
        let PlaceArgs { node, namespace, pool } = self.clone();
        let narrow = Narrow { node, namespace, pool, ..Narrow::default() };
        let everywhere = if narrow.has_place() { checks::stopping() } else { Vec::new() };
        Narrow { everywhere, ..narrow }
    }
}
