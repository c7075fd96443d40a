//! What was measured of one cluster: commands, and what each run of them cost.

use serde_json::{Value, json};

use super::measure::{Cost, Measured};
use super::servers::EtcdVersion;
use super::world::World;

/// One cluster.
pub struct Store {
    pub name: String,
    pub version: EtcdVersion,
    /// Where the pods come from, if that is not said by the commands.
    pub about: String,
    pub pods: usize,
    /// Under `/calico`.
    pub keys: usize,
    pub bytes: usize,
    /// Keys that an audit reads.
    pub wanted: usize,
    pub cluster: String,
    pub rows: Vec<Row>,
}

impl Store {
    pub fn of(world: &World, version: EtcdVersion, about: String, rows: Vec<Row>) -> Store {
        Store {
            name: world.name.clone(),
            version,
            about,
            pods: world.cluster.pods(),
            keys: world.keys,
            bytes: world.bytes,
            wanted: world.cluster.wanted_keys(),
            cluster: world.cluster.describe(),
            rows,
        }
    }

    pub fn wall_of(&self, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.command.name == name)?;
        Some(row.spread(|c| c.wall).median)
    }
}

/// One command, and what each run cost.
pub struct Row {
    pub command: Measured,
    pub costs: Vec<Cost>,
}

/// What the tables are measured against.
pub const RAW: &str = "raw read";

impl Row {
    pub fn new(command: Measured) -> Row {
        Row { command, costs: Vec::new() }
    }

    pub fn spread(&self, of: impl Fn(&Cost) -> f64) -> Spread {
        Spread::of(self.costs.iter().map(of).collect())
    }
}

/// Of some runs.
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Spread { median, least: values[0], most: values[values.len() - 1] }
    }

    pub fn json(&self) -> Value {
        let round = |n: f64| (n * 1e4).round() / 1e4;
        json!({"median": round(self.median), "min": round(self.least), "max": round(self.most)})
    }
}
