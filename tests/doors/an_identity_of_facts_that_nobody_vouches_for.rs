use crate::evidence::JobFacts;
use crate::identity::{Assurance, Identity};

fn made(facts: JobFacts) -> Identity {
    Identity {
        facts, //~ E0451
        assurance: Assurance::JobApi, //~ E0451
    }
}
