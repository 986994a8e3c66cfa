//! The proof is made by the harness alone.

use crate::world::{Root, cases};

cases!(
    fn a_job_runs() {
        drop(Root(())); //~ E0423
    }
);
