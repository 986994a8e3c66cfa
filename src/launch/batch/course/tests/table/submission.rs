//! From the files to a number.

use super::{For, Row};

pub const ROWS: &[Row] = &[
    (
        "a job is submitted when its name is on disk, and one that ends well has succeeded",
        For::Stage,
        "0   ready       => remember & submit
         0.1 called 17   => number 17 & tell submitted as Slurm job 17 (name motmot-1-a-1)
         1   mark        => ask 17!!
         1   running     => say runs on n1 & mint 17
         9   record 0    => withdraw & ask 17!
         9   completing  =>
         9.1 drained     => finish success",
    ),
    (
        "a job whose name cannot be remembered is not submitted",
        For::Stage,
        "0 disk full => 
         0 ready     => remember & finish site the job was not submitted: disk full",
    ),
    (
        "a number that cannot be remembered is told, and the job goes on",
        For::Stage,
        "0 ready     => remember & submit
         0 disk full =>
         1 called 17 => number 17 & tell warning: the number of the job cannot be remembered & tell submitted as
         6 time      => ask 17",
    ),
    (
        "a refusal of what the author has asked for is the job's failure",
        For::ChosenResources,
        "0 ready                                 => remember & submit
         1 called sbatch: error: Invalid account => forget & finish job 1 Slurm does not accept this job: Invalid account (the job has set --mem;",
    ),
    (
        "a refusal of what the site asks for is the site's failure",
        For::Stage,
        "0 ready                                 => remember & submit
         1 called sbatch: error: Invalid account => forget & finish site does not accept this job, which asks for nothing but what the site's own configuration says: Invalid account",
    ),
    (
        "a program that cannot be started has submitted nothing",
        For::Stage,
        "0 ready              => remember & submit
         0 called not-started => forget & finish site the job was not submitted: no sbatch",
    ),
    (
        "a submission without an answer is looked for by name",
        For::Stage,
        "0 ready        => remember & submit
         0 called hangs => say sbatch: no answer within 120 s; it is not known whether the job was submitted
         1 time         => find
         2 found 17     => number 17 & tell submitted as & tell Slurm answers again, after 2 s
         7 time         => ask 17",
    ),
    (
        "of two jobs of one name the first is followed, and cleanup has the name for the other",
        For::Stage,
        "0 ready        => remember & submit
         0 called hangs => say it is not known
         1 time         => find
         2 found 17 18  => number 17 & tell submitted as & tell Slurm answers again",
    ),
    (
        "a job that is not found twice is submitted again, three times in all",
        For::Stage,
        "0  ready        => remember & submit
         0  called hangs => say it is not known
         1  time         => find
         1  found        =>
         5  time         => find
         5  found        => tell Slurm knows of no such job; submitting it once more & remember & submit
         6  called hangs =>
         8  time         => find
         8  found        =>
         11 time         => find
         11 found        => tell submitting it once more & remember & submit
         12 called hangs =>
         16 time         => find
         16 found        =>
         17 time         => find
         17 found        => finish site Slurm has not confirmed any of 3 submissions",
    ),
    (
        "a job that shows up late is not submitted again",
        For::Stage,
        "0 ready        => remember & submit
         0 called hangs => say it is not known
         1 time         => find
         1 found        =>
         5 time         => find
         5 found 17     => number 17 & tell submitted as & tell Slurm answers again",
    ),
    (
        "a search that fails between two that find nothing makes the count begin anew",
        For::Stage,
        "0 ready        => remember & submit
         0 called hangs => say it is not known
         1 time         => find
         1 found        =>
         5 time         => find
         5 found silent =>
         7 time         => find
         7 found        =>
         8 time         => find
         8 found        => tell submitting it once more & remember & submit",
    ),
    (
        "a job that has begun is not submitted again, whatever the queue says",
        For::Stage,
        "0   ready        => remember & submit
         0   called hangs => say it is not known
         0.5 mark         => find!!
         0.5 found        =>
         999 always found => finish site Slurm has said nothing about this job for 10m that could be understood & 22 questions",
    ),
    (
        "a job that the queue never shows and whose search always fails ends as unknown",
        For::Stage,
        "0   ready               => remember & submit
         0   called hangs        => say it is not known
         999 always found silent => finish site its name is motmot-1-a-1 & 23 questions",
    ),
    (
        "the refusal of a second submission does not make the first one forgotten",
        For::Stage,
        "0 ready                                 => remember & submit
         0 called hangs                          => say it is not known
         1 time                                  => find
         1 found                                 =>
         5 time                                  => find
         5 found                                 => tell submitting it once more & remember & submit
         6 called sbatch: error: Invalid account => finish site Invalid account",
    ),
    (
        "an answer that no number is in leaves the job to be looked for",
        For::Stage,
        "0 ready     => remember & submit
         0 called ok => say sbatch said no number
         1 time      => find",
    ),
    (
        "a mark that comes before the number is a reason to ask as soon as it is known",
        For::Stage,
        "0   ready     => remember & submit
         0.1 mark      =>
         0.3 called 17 => number 17 & tell submitted as & ask 17!!
         0.4 running   => say runs on n1 & mint 17",
    ),
    (
        "an answer that nobody has asked for is nothing",
        For::Allocated,
        "0 called 18 =>
         0 ready     =>
         0 called 18 =>
         5 time      => ask 17",
    ),
    (
        "an allocation is done when it has a number",
        For::Allocating,
        "0 ready     => remember & submit
         1 called 17 => number 17 & tell submitted as & finish submitted 17",
    ),
    (
        "an allocation that is found by its name is done",
        For::Allocating,
        "0 ready        => remember & submit
         0 called hangs => say it is not known
         1 time         => find
         1 found 17     => number 17 & tell submitted as & tell Slurm answers again & finish submitted 17",
    ),
    (
        "a failure of the worker before there is a job is its own",
        For::Stage,
        "0 failed the quota is used up => finish error the quota is used up",
    ),
];
