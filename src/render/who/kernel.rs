//! What nodes' kernels have of an address, for people: all commands of a night on a node in a few lines.

use std::io::Result;

use super::rows::row;
use crate::model::Foreign;
use crate::render::table::paper::Paper;
use crate::who::KernelSheet;

/// So many neighbours and interfaces are told of one node.
const SOME: usize = 12;

/// One node.
pub fn write(sheet: &KernelSheet, paper: &mut Paper<'_>) -> Result<()> {
    let way = match &sheet.in_force {
        Some(route) => format!("goes by {}", route.shown()),
        None => "there is no one way to it".to_owned(),
    };
    row(paper, "kernel", &[&format!("of {}", sheet.node.shown()), &way])?;
    for route in sheet.routes.iter().filter(|route| Some(*route) != sheet.in_force.as_ref()) {
        row(paper, "", &[&format!("also routed: {}", route.shown())])?;
    }
    some(paper, "neighbours", &sheet.neighbours)?;
    some(paper, "inside of", &sheet.inside)?;
    let (answered, silent): (Vec<_>, Vec<_>) = sheet.gateway.iter().partition(|gateway| gateway.errno == 0);
    let named = |list: &[&crate::who::GatewaySheet]| list.iter().map(|g| g.interface.clone()).collect::<Vec<_>>();
    some(paper, "a pod there that asks for its gateway is answered on", &named(&answered))?;
    some(paper, "and not on", &named(&silent))?;
    match silent.first() {
        Some(first) => row(paper, "", &[&format!("why not: {}", first.says)]),
        None => Ok(()),
    }
}

fn some(paper: &mut Paper<'_>, label: &str, list: &[Foreign]) -> Result<()> {
    let mut words: Vec<String> = list.iter().take(SOME).map(|text| text.shown().into_owned()).collect();
    if words.is_empty() {
        return Ok(());
    }
    let more = list.len().saturating_sub(SOME);
    words.extend((more > 0).then(|| format!("… {more} more")));
    row(paper, "", &[&format!("{label}: {}", words.join(", "))])
}
