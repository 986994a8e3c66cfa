//! A case without a parameter runs as an ordinary user, too, and has nothing that it could give.

use crate::world::{World, cases};

cases!(
    fn a_job_runs() {
        World::root().build(); //~ E0061
    }
);
