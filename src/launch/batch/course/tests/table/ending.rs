//! Somebody asks the stage to end.

use super::{For, Row};

pub const ROWS: &[Row] = &[
    ("before the files are there", For::Stage, "0 SIGTERM => finish terminated"),
    (
        "before the number is known: the job is cancelled as soon as it is",
        For::Stage,
        "0    ready               => remember & submit
         0.1  SIGTERM             => take-back
         3    called 17           => number 17 & tell submitted as & cancel 17
         3.2  called ok           =>
         3.35 time                => ask 17
         3.4  cancelled never-ran => canceller 17 & last-look & finish terminated",
    ),
    (
        "before the submission has had its turn: there is none",
        For::Stage,
        "0    ready      => remember & submit
         0.1  SIGTERM    => take-back
         0.1  not-called => forget & finish terminated",
    ),
    (
        "before an allocation has had its turn: there is none",
        For::Allocating,
        "0    ready      => remember & submit
         0.1  SIGTERM    => take-back
         0.1  not-called => forget & finish terminated",
    ),
    (
        "before a second submission has had its turn: the first may have made a job, for which cleanup looks",
        For::Stage,
        "0    ready        => remember & submit
         1    called hangs => say it is not known
         2    time         => find
         2    found        =>
         6    time         => find
         6    found        => tell submitting it once more & remember & submit
         6.1  SIGTERM      => take-back
         6.1  not-called   => finish terminated",
    ),
    (
        "while an allocation is submitted: it is cancelled, and not handed on",
        For::Allocating,
        "0    ready     => remember & submit
         0.1  SIGTERM   => take-back
         3    called 17 => number 17 & tell submitted as & cancel 17
         3.2  called ok =>
         3.35 time      => ask 17
         3.4  cancelled => canceller 17 & last-look & finish terminated",
    ),
    (
        "while the submission has no answer: looked for, not found, and cancelled by name",
        For::Stage,
        "0    ready        => remember & submit
         0    SIGTERM      => take-back
         1    called hangs => say whether the job is gone is not known; trying again
         2    time         => find
         2    found        =>
         6    time         => find
         6    found        => cancel-by-name
         6.1  called ok    =>
         6.25 time         => find
         6.25 found        => finish terminated",
    ),
    (
        "while the submission has no answer: a job that shows up is cancelled",
        For::Stage,
        "0   ready        => remember & submit
         0   SIGTERM      => take-back
         1   called hangs => say whether the job is gone is not known; trying again
         2   time         => find
         2   found 17     => number 17 & tell submitted as & tell Slurm answers again
         2.5 time         => cancel 17",
    ),
    (
        "while the submission was not answered at all, and never is",
        For::Stage,
        "0   ready   => remember & submit
         0   SIGTERM => take-back
         100 time    => tell warning: Slurm has not confirmed that job motmot-1-a-1 is gone; the cleanup stage goes on with that & finish terminated",
    ),
    (
        "while it waits",
        For::Stage,
        "0    ready               => remember & submit
         0    called 17           => number 17 & tell submitted as
         5    time                => ask 17
         5    pending             => say waiting in the queue
         7    SIGTERM             => cancel 17
         7.1  called ok           =>
         7.25 time                => ask 17
         7.3  cancelled never-ran => canceller 17 & last-look & finish terminated",
    ),
    (
        "a job that has waited for days, too",
        For::Stage,
        "0         ready          => remember & submit
         0         called 17      => number 17 & tell submitted as
         259200    always pending => say waiting in the queue & 8642 questions
         259201    SIGTERM        => cancel 17
         259201.1  called ok      =>
         259201.25 time           => ask 17
         259201.3  cancelled never-ran => canceller 17 & last-look & finish terminated",
    ),
    (
        "while it runs: its last words are shown",
        For::Stage,
        "0    ready                 => remember & submit
         0    called 17             => number 17 & tell submitted as
         1    mark                  => ask 17!!
         1    running               => say runs on n1 & mint 17
         7    SIGTERM               => cancel 17
         7.1  called ok             =>
         7.25 time                  => ask 17
         7.25 completing            =>
         7.3  record 143 terminated => withdraw
         7.45 time                  => ask 17!
         7.5  completing            =>
         7.8  time                  => ask 17
         7.9  cancelled             => canceller 17
         8    drained               => finish terminated",
    ),
    (
        "while it runs, and nobody has seen it begin: what it wrote is waited for",
        For::Stage,
        "0    ready                 => remember & submit
         0    called 17             => number 17 & tell submitted as
         0.1  SIGTERM               => cancel 17
         0.2  called ok             =>
         0.35 time                  => ask 17
         0.4  cancelled             => canceller 17 & last-look
         1    mark                  => ask 17!!
         1.1  record 143 terminated => 
         1.1  drained               => finish terminated",
    ),
    (
        "while it runs, and nothing of it ever comes through: not for ever",
        For::Stage,
        "0    ready     => remember & submit
         0    called 17 => number 17 & tell submitted as
         0.1  SIGTERM   => cancel 17
         0.2  called ok =>
         0.35 time      => ask 17
         0.4  cancelled => canceller 17 & last-look
         10.4 time      => finish terminated",
    ),
    (
        "cancelled and forgotten at once: a last look",
        For::Stage,
        "0    ready       => remember & submit
         0    called 17   => number 17 & tell submitted as
         0.1  SIGTERM     => cancel 17
         0.2  called ok   =>
         0.35 time        => ask 17
         0.4  no-such-job => last-look
         2.4  drained     => finish terminated",
    ),
    (
        "cancelled and forgotten at once, and the worker says nothing any more",
        For::Stage,
        "0    ready       => remember & submit
         0    called 17   => number 17 & tell submitted as
         0.1  SIGTERM     => cancel 17
         0.2  called ok   =>
         0.35 time        => ask 17
         0.4  no-such-job => last-look
         10.4 time        => finish terminated",
    ),
    (
        "a script that ends just then: the end is awaited, and it is the request that is told",
        For::Stage,
        "0    ready     => remember & submit
         0    called 17 => number 17 & tell submitted as
         1    mark      => ask 17!!
         1    running   => say runs on n1 & mint 17
         7    record 0  => withdraw & ask 17!
         7    SIGTERM   => cancel 17
         7.1  completed =>
         7.2  drained   => finish terminated",
    ),
    (
        "a script that has ended already, and whose output is on its way",
        For::Stage,
        "0   ready     => remember & submit
         0   called 17 => number 17 & tell submitted as
         4   record 0  => ask 17!
         4   completed =>
         4.1 SIGTERM   =>
         4.2 drained   => finish terminated",
    ),
    (
        "twice is once",
        For::Stage,
        "0   ready     => remember & submit
         0   called 17 => number 17 & tell submitted as
         1   SIGTERM   => cancel 17
         1.1 SIGTERM   =>
         2   SIGTERM   =>",
    ),
    (
        "a job that is being cancelled because it was put back: then it is the request that is told",
        For::Stage,
        "0    ready               => remember & submit
         0    called 17           => number 17 & tell submitted as
         5    time                => ask 17
         5    pending restart 1   => say waiting in the queue & cancel 17
         5.1  SIGTERM             =>
         5.2  called ok           =>
         5.35 time                => ask 17
         5.4  cancelled never-ran => canceller 17 & last-look & finish terminated",
    ),
    (
        "a cancellation that does not reach the controller is tried again, later and later, and told once",
        For::Stage,
        "0  ready                                                   => remember & submit
         0  called 17                                               => number 17 & tell submitted as
         1  SIGTERM                                                 => cancel 17
         1  called Unable to contact slurm controller               => say Slurm cannot cancel the job now, trying again: Unable to contact
         2  time                                                    => cancel 17
         3  called Unable to contact slurm controller               =>
         5  time                                                    => cancel 17 & ask 17",
    ),
    (
        "a cancelled job that lives is cancelled again",
        For::Stage,
        "0   ready          => remember & submit
         0   called 17      => number 17 & tell submitted as
         1   SIGTERM        => cancel 17
         1.1 called ok      =>
         16  always running => say runs on n1 & mint 17 & 8 questions
         16.1 time          => cancel 17",
    ),
    (
        "a scheduler that never confirms the end leaves the job to cleanup, and that is told",
        For::Stage,
        "0   ready         => remember & submit
         0   called 17     => number 17 & tell submitted as
         1   SIGTERM       => cancel 17
         101 always silent => say whether the job is gone is not known; trying again & tell warning: Slurm has not confirmed that job motmot-1-a-1 is gone; the cleanup & finish terminated & 8 questions",
    ),
    (
        "a worker that fails meanwhile changes nothing",
        For::Stage,
        "0   ready       => remember & submit
         0   called 17   => number 17 & tell submitted as
         1   SIGTERM     => cancel 17
         1.1 failed oops => finish terminated",
    ),
    (
        "a job of several scripts: SIGTERM, then SIGKILL, then the whole job",
        For::Allocated,
        "0    ready     =>
         1    mark      => ask 17!!
         1    running   => say runs on n1 & mint 17
         7    SIGTERM   => SIGTERM 17
         7.1  called ok =>
         17   time      => SIGKILL 17
         17.1 called ok =>
         31   time      => ask 17
         31   running   =>
         32   time      => cancel 17
         32.1 called ok =>
         32.25 time     => ask 17
         32.3 cancelled => withdraw & canceller 17 & last-look
         33   drained   => finish terminated",
    ),
    (
        "a job of several scripts: one that ends on SIGTERM leaves the job alone",
        For::Allocated,
        "0   ready      =>
         1   mark       => ask 17!!
         1   running    => say runs on n1 & mint 17
         7   SIGTERM    => SIGTERM 17
         7.1 called ok  =>
         7.3 record 143 => withdraw & ask 17!
         7.4 drained    => finish terminated",
    ),
    (
        "a job of several scripts: a signal before the script has begun is sent once more when it begins",
        For::Allocated,
        "0   ready     =>
         0.1 SIGTERM   => SIGTERM 17
         0.2 called ok =>
         0.5 mark      => SIGTERM 17 & ask 17!!
         0.6 called ok =>",
    ),
    (
        "a job of several scripts: a signal that fails while the script begins is sent again, and not the last one",
        For::Allocated,
        "0   ready                                   =>
         0.1 SIGTERM                                 => SIGTERM 17
         0.2 mark                                    => ask 17!!
         0.3 called Unable to contact slurm controller => say Slurm cannot cancel the job now
         1.3 time                                    => SIGTERM 17",
    ),
    (
        "a job of several scripts that waits has no script to be told: it is cancelled",
        For::Allocated,
        "0   ready   =>
         5   time    => ask 17
         5   pending => say waiting in the queue
         7   SIGTERM => cancel 17",
    ),
    (
        "a worker that its account has stopped, in a job of several scripts",
        For::Allocated,
        "0   SIGTERM => SIGTERM 17
         100 time    => tell warning: Slurm has not confirmed & finish terminated",
    ),
    (
        "an end that a mark of a later start makes doubtful: the script is told to end once more, and nothing spins",
        For::Allocated,
        "0    ready          =>
         1    record 3       => ask 17!
         1    SIGTERM        =>
         2    mark restart 1 => SIGTERM 17
         2.1  called ok      =>
         2.2  running        => say runs on n1 & mint 17 & ask 17!!
         12   time           => SIGKILL 17",
    ),
    (
        "a script that has ended gets no token, though its job runs on",
        For::Allocated,
        "0   ready      =>
         1   mark       => ask 17!!
         1.5 SIGTERM    => SIGTERM 17
         1.6 called ok  =>
         1.7 record 143 =>
         1.8 running    => say runs on n1 & ask 17!
         2   drained    => finish terminated",
    ),
];
