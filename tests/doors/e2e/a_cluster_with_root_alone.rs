//! Root is not Slurm.

use crate::world::{Cluster, Root, cases};

cases!(
    fn a_cluster_starts(root: Root) {
        Cluster::shared(root); //~ E0277
    }
);
