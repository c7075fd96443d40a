//! Commands as they are shown: each on a line of its own, whole, so that it can be pasted.

use std::io::Result;

use super::line::HANG;
use super::paper::{COMMAND, DIM, Paper, Text};
use crate::model::Foreign;
use crate::render::number::grouped;

/// Writes the commands, or of many the first `most`. `all` is how many there are with `--all`: how many are left out is
/// said in a line before them, since what is pasted must be nothing but commands.
pub fn write(commands: &[String], most: usize, all: usize, paper: &mut Paper<'_>) -> Result<()> {
    if most < commands.len() {
        let more = all.saturating_sub(most);
        let (plural, first) = (if more == 1 { "" } else { "s" }, if most == 1 { "command" } else { "commands" });
        let more = grouped(more as u64);
        let text = format!("the first {most} {first}; {more} more command{plural} with --all:");
        paper.paragraph(HANG, HANG, &Text::new().field(DIM, &text))?;
    }
    for command in commands.iter().take(most) {
        paper.paragraph(HANG, HANG, &Text::new().whole(COMMAND, &Foreign::from(command.as_str()).shown()))?;
    }
    Ok(())
}
