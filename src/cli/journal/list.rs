//! `ipaudit release --list`: the releases of the past.

use std::collections::BTreeMap;

use crate::cli::history_args::DbArgs;
use crate::cli::output::{PlainOutput, Streams};
use crate::cli::release::args::With;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::history::query::Window;
use crate::model::release::ReleaseRow;
use crate::render::json;
use crate::render::release::asked::AskedFor;
use crate::render::release::list;

/// Lists them: from the history alone, so it works when the cluster does not.
///
/// # Errors
/// A history that cannot be read, and output that cannot be written.
pub fn list(with: &With, streams: &Streams) -> Result<Exit, Error> {
    let (releases, asked) = all_releases(&with.db)?;
    let mut text = Vec::new();
    let written = match with.how.output {
        PlainOutput::Json => json::indented(&list::document(&releases, &asked), &mut text),
        PlainOutput::Table => list::table(&releases, &asked, &mut text),
    };
    written.map_err(|e| Error::own("print the releases").cause(e))?;
    streams.print(&text)?;
    Ok(Conclusion::Done.exit())
}

/// All releases that a history holds, of every cluster; none without a history. Nothing but the file is asked.
fn all_releases(args: &DbArgs) -> Result<(Vec<ReleaseRow>, BTreeMap<i64, AskedFor>), Error> {
    if !args.path()?.exists() {
        return Ok(Default::default());
    }
    args.look(|db| {
        let (mut releases, mut all) = (Vec::new(), BTreeMap::new());
        for pair in db.pairs()? {
            releases.extend(db.releases(pair.id, Window::ALL)?);
            let asked = db.asked(pair.id)?;
            all.extend(asked.iter().map(|(id, asked)| (*id, AskedFor::of(asked))));
        }
        releases.sort_by_key(|r| r.id);
        Ok((releases, all))
    })
}
