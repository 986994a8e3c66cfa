//! Jobs in Slurm, from the emulator of GitLab Runner through the real stages to a real cluster and back.

mod ends;
mod grants;
mod limits;
mod options;
mod output;
mod queue;
mod secrets;
mod stages;
mod tokens;
mod trial;

use crate::world::{Cluster, Slurm, World};

/// A world whose jobs go to the cluster of all tests.
fn world(slurm: Slurm) -> World {
    World::root(slurm).at(Cluster::shared(slurm)).build()
}
