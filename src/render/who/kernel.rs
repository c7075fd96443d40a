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
    let but =
        if answered.is_empty() { "a pod there that asks for its gateway is not answered on" } else { "and not on" };
    some(paper, but, &named(&silent))?;
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
            routes: Vec::new(),
            in_force: None,
            winner: None,
            neighbours: Vec::new(),
            inside: Vec::new(),
            gateway: errnos.iter().map(gateway).collect(),
        };
        let mut out = Vec::new();
        write(&sheet, &mut Paper::new(&mut out, 200, false)).unwrap();
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
