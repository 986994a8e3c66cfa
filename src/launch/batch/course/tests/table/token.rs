//! A token exists while the scheduler says that the job runs.

use super::{For, Row};

pub const ROWS: &[Row] = &[
    (
        "a job that waits has none, and a mark alone does not bring one",
        For::Stage,
        "0 ready     => remember & submit
         0 called 17 => number 17 & tell submitted as
         1 mark      => ask 17!!
         1 pending   => say waiting in the queue
         6 time      => ask 17
         6 running   => say runs on n1 & mint 17",
    ),
    (
        "a script that waits for its token while the controller is silent gets it late",
        For::Stage,
        "0   ready     => remember & submit
         0   called 17 => number 17 & tell submitted as
         1   mark      => ask 17!!
         21  silent    => say the state of the job is not known
         22  time      => ask 17
         22  running   => tell Slurm answers again & say runs on n1 & mint 17",
    ),
    (
        "a script whose token did not come in time was not started",
        For::Stage,
        "0   ready           => remember & submit
         0   called 17       => number 17 & tell submitted as
         1   mark            => ask 17!!
         21  silent          => say the state of the job is not known
         21.5 record no-token => ask 17!
         22  completed       => tell Slurm answers again
         22  drained         => finish site the token of this stage did not come to n1 in time",
    ),
    (
        "it is renewed while the scheduler says now and then that the job runs",
        For::Stage,
        "0    ready          => remember & submit
         0    called 17      => number 17 & tell submitted as
         1    mark           => ask 17!!
         1    running        => say runs on n1 & mint 17
         1300 always running => renew & renew & renew & 22 questions",
    ),
    (
        "nothing is renewed on a word that is older than a quarter of an hour",
        For::Stage,
        "0    ready            => remember & submit
         0    called 17        => number 17 & tell submitted as
         1    mark             => ask 17!!
         1    running          => say runs on n1 & mint 17
         1300 always suspended => tell Slurm has suspended the job & renew & renew & hold & 22 questions",
    ),
    (
        "it is taken away when the scheduler says that the job has ended",
        For::Stage,
        "0  ready     => remember & submit
         0  called 17 => number 17 & tell submitted as
         1  mark      => ask 17!!
         1  running   => say runs on n1 & mint 17
         31 time      => ask 17
         31 node-failed => withdraw & last-look",
    ),
    (
        "a stage without tokens gets none, and none is taken away",
        For::NoTokens,
        "0 ready     => remember & submit
         0 called 17 => number 17 & tell submitted as
         1 mark      => ask 17!!
         1 running   => say runs on n1
         9 record 0  => ask 17!
         9 running   =>
         9 drained   => finish success",
    ),
    (
        "put back into the queue, and that is allowed: taken away, and given anew for the new start",
        For::Requeue,
        "0  ready             => remember & submit
         0  called 17         => number 17 & tell submitted as
         1  mark              => ask 17!!
         1  running           => say runs on n1 & mint 17
         31 time              => ask 17
         31 pending restart 1 => withdraw & tell Slurm starts the job once more (restart 1) & say waiting in the queue
         36 time              => ask 17
         36 running restart 1 => say runs on n1 & mint 17",
    ),
    (
        "a restart that is over before anybody asks: the token of the start before is taken away first",
        For::Requeue,
        "0  ready             => remember & submit
         0  called 17         => number 17 & tell submitted as
         1  mark              => ask 17!!
         1  running           => say runs on n1 & mint 17
         31 time              => ask 17
         31 running restart 1 => withdraw & tell Slurm starts the job once more & mint 17",
    ),
    (
        "a wrapper that begins anew throws its token away, and is given another",
        For::Requeue,
        "0    ready             => remember & submit
         0    called 17         => number 17 & tell submitted as
         1    mark              => ask 17!!
         1    running           => say runs on n1 & mint 17
         31   time              => ask 17
         31   running restart 1 => withdraw & tell Slurm starts the job once more & mint 17
         31.5 mark restart 1    => ask 17!!
         31.5 running restart 1 => mint 17",
    ),
    (
        "a mark of the time before the restart says that the wrapper has yet to begin",
        For::Requeue,
        "0  ready             => remember & submit
         0  called 17         => number 17 & tell submitted as
         5  time              => ask 17
         5  running restart 1 => tell Slurm starts the job once more & say runs on n1 & mint 17
         6  mark              => ask 17!!
         6  running restart 2 => withdraw & tell Slurm starts the job once more (restart 2) & mint 17
         7  mark restart 1    => ask 17!!
         7  running restart 2 =>
         8  mark restart 2    => ask 17!
         8  running restart 2 => mint 17",
    ),
    (
        "a token that a mark calls thrown away is taken away all the same when the job waits again",
        For::Requeue,
        "0  ready             => remember & submit
         0  called 17         => number 17 & tell submitted as
         5  time              => ask 17
         5  running restart 1 => tell Slurm starts the job once more & say runs on n1 & mint 17
         6  mark restart 1    => ask 17!!
         6  pending restart 1 => say waiting in the queue & withdraw",
    ),
    (
        "a job that lost its node after it was told to end begins anew, and its first end is nothing",
        For::Requeue,
        "0   ready                => remember & submit
         0   called 17            => number 17 & tell submitted as
         1   mark                 => ask 17!!
         1   running              => say runs on n1 & mint 17
         9   record 143 terminated => withdraw & ask 17!
         9   pending restart 1    => tell Slurm starts the job once more & say waiting in the queue
         14  time                 => ask 17
         14  running restart 1    => say runs on n1 & mint 17
         15  mark restart 1       => ask 17!!
         15  running restart 1    => mint 17
         20  record 0 restart 1   => withdraw & ask 17!
         20  completed restart 1  =>
         20  drained              => finish success",
    ),
    (
        "put back into the queue, and that is not allowed: the job is cancelled, and it is the site's failure",
        For::Stage,
        "0    ready               => remember & submit
         0    called 17           => number 17 & tell submitted as
         1    mark                => ask 17!!
         1    running             => say runs on n1 & mint 17
         31   time                => ask 17
         31   pending restart 1   => withdraw & say waiting in the queue & cancel 17
         31.1 called ok           =>
         31.25 time               => ask 17
         31.3 cancelled never-ran => canceller 17 & last-look & finish site Slurm has put the job back into its queue",
    ),
    (
        "the record of a script that had run before it was put back says so",
        For::Stage,
        "0 ready                       => remember & submit
         0 called 17                   => number 17 & tell submitted as
         4 record ran-before restart 1 => ask 17!
         4 drained                     =>
         4 running restart 1           => finish site Slurm started the job once more, and a script is not run twice",
    ),
];
