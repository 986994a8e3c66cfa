//! What is supposed of a job are facts, and facts alone make nobody.

use crate::evidence::supposed::Supposed;
use crate::identity::Identity;

fn made(job: Supposed) -> Identity {
    Identity::from(job.facts()) //~ E0308
}
