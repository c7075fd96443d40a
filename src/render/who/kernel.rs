//! What nodes' kernels have of an address, for people: all commands of a night on a node in a few lines.

use std::io::Result;

use super::rows::row;
use crate::model::{Foreign, Time};
use crate::render::age::age;
use crate::render::table::paper::Paper;
use crate::who::{KernelSheet, NodeKernelSheet};

/// So many neighbours and interfaces are told of one node.
const SOME: usize = 12;

/// One node.
pub fn write(sheet: &KernelSheet, now: Time, paper: &mut Paper<'_>) -> Result<()> {
    let way = match &sheet.in_force {
        Some(route) => format!("goes by {}", route.shown()),
        None if sheet.routes_read => "there is no one way to it".to_owned(),
        None => "which way goes to it was not read".to_owned(),
    };
    let (what, doubts) = doubted(sheet.judged, &sheet.doubts);
    // What does not count is told as what it was.
    let way = if sheet.judged { way } else { format!("then: {way}") };
    let when = captured(sheet.captured, sheet.judged, now);
    row(paper, "kernel", &[&format!("of {}", sheet.node.shown()), what, &when, &way])?;
    doubts.iter().try_for_each(|doubt| row(paper, "", &[doubt]))?;
    for route in sheet.routes.iter().filter(|route| Some(*route) != sheet.in_force.as_ref()) {
        row(paper, "", &[&format!("also routed: {}", route.shown())])?;
    }
    some(paper, "neighbours", &sheet.neighbours)?;
    some(paper, "inside of", &sheet.inside)?;
    let (answered, silent): (Vec<_>, Vec<_>) = sheet.gateway.iter().partition(|gateway| gateway.errno == 0);
    let named = |list: &[&crate::who::GatewaySheet]| list.iter().map(|g| g.interface.clone()).collect::<Vec<_>>();
    some(paper, "a pod there that asks for its gateway is answered on", &named(&answered))?;
    let but =
        if answered.is_empty() { "a pod there that asks for its gateway is not answered on" } else { "and not on" };
    some(paper, but, &named(&silent))?;
    match silent.first() {
        Some(first) => row(paper, "", &[&format!("why not: {}", first.says)]),
        None => Ok(()),
    }
}

/// What was read of one node.
pub fn of_node(sheet: &NodeKernelSheet, now: Time, paper: &mut Paper<'_>) -> Result<()> {
    let (what, doubts) = doubted(sheet.judged, &sheet.doubts);
    let lists: Vec<_> = sheet.read.iter().map(Foreign::shown).collect();
    let read = if lists.is_empty() { String::new() } else { format!("has {}", lists.join(", ")) };
    row(paper, "kernel", &[what, &captured(sheet.captured, sheet.judged, now), &read])?;
    doubts.iter().try_for_each(|doubt| row(paper, "", &[doubt]))
}

/// Whether it counts, and why not, or not in all.
fn doubted(judged: bool, doubts: &[Foreign]) -> (&'static str, Vec<String>) {
    (if judged { "" } else { "not judged" }, doubts.iter().map(|doubt| doubt.shown().into_owned()).collect())
}

/// How long ago it was read; what is too long ago says so itself.
fn captured(at: Option<Time>, judged: bool, now: Time) -> String {
    match at.filter(|_| judged) {
        Some(at) if at > now => format!("read {} ahead of now", age(at.since(now))),
        Some(at) => format!("read {} ago", age(now.since(at))),
        None => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::who::GatewaySheet;

    fn told(errnos: &[i32]) -> String {
        let gateway =
            |errno: &i32| GatewaySheet { interface: format!("cali{errno}").into(), errno: *errno, says: "no" };
        let sheet = KernelSheet {
            node: "worker-1".into(),
            captured: None,
            judged: true,
            doubts: Vec::new(),
            routes_read: true,
            routes: Vec::new(),
            in_force: None,
            winner: None,
            neighbours: Vec::new(),
            inside: Vec::new(),
            gateway: errnos.iter().map(gateway).collect(),
        };
        let mut out = Vec::new();
        write(&sheet, Time::default(), &mut Paper::new(&mut out, 200, false)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_verdict_is_a_sentence_whoever_is_answered() {
        let some = told(&[0, 22]);
        assert!(
            some.contains("asks for its gateway is answered on: cali0") && some.contains("and not on: cali22"),
            "{some}"
        );
        let none = told(&[22]);
        assert!(none.contains("a pod there that asks for its gateway is not answered on: cali22"), "{none}");
        assert!(!none.contains("and not on"), "{none}");
    }
}
