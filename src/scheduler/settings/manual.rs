//! What the manual says of the keys that the section of every batch scheduler has.

use crate::config::manual::Program::{Check, Prepare, Run};
use crate::config::manual::{Bounds, Key, Takes, Unset};

/// Where they are declared.
pub const FILE: &str = file!();

/// They are read by `read_batch`.
pub const BATCH: &[Key] = &[
    Key {
        name: "stages",
        takes: Takes::Texts("names of stages; a * at the end of one stands for anything"),
        unset: Unset::Is("[\"build_script\", \"step_*\"]"),
        example: "[\"build_script\", \"step_*\", \"after_script\"]",
        says: "Stages that run as batch jobs. The others run on this machine.",
        used_by: &[Prepare, Run, Check],
    },
    Key {
        name: "allocation",
        takes: Takes::Word(&["stage", "job"]),
        unset: Unset::Is("\"stage\""),
        example: "",
        says: "stage: one batch job for every such stage. job: one for all of them.",
        used_by: &[Prepare, Run],
    },
    Key {
        name: "parameters",
        takes: Takes::Texts("names of variables"),
        unset: Unset::Is("[\"SCHEDULER_PARAMETERS\"]"),
        example: "[\"SITE_OPTIONS\"]",
        says: "CI variables in which jobs write options for the scheduler, split as a shell would, without expansion. Later ones \
            win.",
        used_by: &[Prepare, Run],
    },
    Key {
        name: "requeue",
        takes: Takes::Boolean,
        unset: Unset::Is("false"),
        example: "",
        says: "Whether the scheduler may begin a stage again, after a failure of its node for example.",
        used_by: &[Prepare, Run],
    },
    Key {
        name: "unknown_timeout",
        takes: Takes::Time(Bounds::NONE),
        unset: Unset::Is("\"1h\""),
        example: "\"30m\"",
        says: "How long the scheduler may not know, or not say, what became of a job.",
        used_by: &[Prepare, Run],
    },
    Key {
        name: "output_timeout",
        takes: Takes::Time(Bounds::NONE),
        unset: Unset::Is("\"1m\""),
        example: "\"5m\"",
        says: "How long a shared file system may take to show the end of a stage's output.",
        used_by: &[Prepare, Run],
    },
    Key {
        name: "token_timeout",
        takes: Takes::Time(Bounds::NONE),
        unset: Unset::Is("\"2m\""),
        example: "\"5m\"",
        says: "How long a stage waits on its node for its token.",
        used_by: &[Run],
    },
];
