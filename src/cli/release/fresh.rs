//! Bytes read right now, and what a candidate comes to with them.

use crate::apply;
use crate::cli::gather::{Sources, present};
use crate::error::Error;
use crate::plan::confirm::{Candidate, Plan};
use crate::plan::orphans::Decided;
use crate::plan::transaction::Fresh;

/// Reads the bytes of each candidate, which becomes a step of the plan, or a refusal.
///
/// # Errors
/// As for any read.
pub async fn add_steps(plan: &mut Plan, candidates: Vec<Candidate>, sources: &Sources) -> Result<(), Error> {
    let connection = sources.connection()?;
    for candidate in candidates {
        let (work, moment) = (&candidate.work, present());
        let decide = |fresh: &Fresh| work.decide(fresh, moment);
        let more = |decided: &Decided| decided.decision.wants().map(<[_]>::to_vec);
        let decided = apply::read_until(connection, work.keys(), |_| Ok(()), decide, more).await?;
        plan.add(candidate, decided);
    }
    Ok(())
}
