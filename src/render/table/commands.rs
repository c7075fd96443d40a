//! Commands as they are shown: each on a line of its own, whole, so that it can be pasted.

use std::io::Result;

use super::line::HANG;
use super::options::Options;
use super::paper::{COMMAND, DIM, Paper, Text};
use crate::model::Foreign;

/// Writes the commands; of many the first, and how many more there are in a line before them: what is pasted must be
/// nothing but commands.
pub fn write(commands: &[String], most: usize, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    let most = if options.all { commands.len() } else { most };
    let more = commands.len().saturating_sub(most);
    if more > 0 {
        let plural = if more == 1 { "" } else { "s" };
        let text = format!("the first {most} commands; {more} more command{plural} with --all:");
        paper.paragraph(HANG, HANG, &Text::new().field(DIM, &text))?;
    }
    for command in commands.iter().take(most) {
        paper.paragraph(HANG, HANG, &Text::new().whole(COMMAND, &Foreign::from(command.as_str()).shown()))?;
    }
    Ok(())
}
