//! Looks for a job in a region that no other rule takes.

use super::region::{Atom, Region};
use super::{Steps, Undecided};
use crate::evidence::JobFacts;
use crate::evidence::supposed::Supposed;

/// What becomes of a job that was found.
pub enum Found {
    /// It is one that was looked for.
    Wanted,
    /// It is not, and neither is any other for which all of one of these are so.
    Taken(Vec<Vec<Atom>>),
}

/// What looking at a region costs, besides texts that have to be looked for.
const REGION: usize = 1000;

/// One of the jobs of a region that are wanted. `judge` asks the code that decides about jobs.
pub fn search(
    region: Region,
    steps: &Steps,
    judge: impl Fn(&JobFacts) -> Result<Found, Undecided>,
) -> Result<Option<Supposed>, Undecided> {
    let mut left = vec![region];
    while let Some(region) = left.pop() {
        steps.take(REGION)?;
        let job = region.example();
        match judge(&job.clone().facts())? {
            Found::Wanted => return Ok(Some(job)),
            Found::Taken(ways) => {
                let mut found = ways.into_iter().filter_map(|atoms| without(&region, &atoms, &job, steps).transpose());
                // If the job is in none of them, it would be found again and again.
                left.extend(found.next().ok_or(Undecided::Disagree)??);
            }
        }
    }
    Ok(None)
}

/// A region without the jobs for which all of some things are so: for each of these things the jobs for which it is the first that
/// is not so. `None` if the job is none of them.
fn without(region: &Region, atoms: &[Atom], job: &Supposed, steps: &Steps) -> Result<Option<Vec<Region>>, Undecided> {
    let mut pieces = Vec::new();
    let mut rest = region.clone();
    for atom in atoms {
        pieces.extend(rest.narrow(&atom.opposite(), steps)?);
        match rest.narrow(atom, steps)? {
            Some(narrower) => rest = narrower,
            None => return Ok(None),
        }
    }
    Ok((rest.example() == *job).then_some(pieces))
}
