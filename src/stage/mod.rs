//! The four stages of a job, one page each: [`config`], [`prepare`], [`run`], [`cleanup`]. Read `config` and `run` first.
//!
//! What they share:
//!
//! * `edge` is where they begin and end, `caller` says whether it is the runner who calls, `lines` refuses a stage in the place of
//!   another; `ends` is what an end means for the runner and the audit log, `request` why a stage was asked to end;
//! * `account` says as whom a job runs, `tokens` mints for it, `confine` has its control group, [`keeper`] its login session;
//! * `scheduled` is a stage whose script runs at a batch scheduler, `trial` asks beforehand whether it ever would;
//! * `groups` asks GitLab who is in the groups on which it depends who a job runs as;
//! * `recorded` is what the audit log says with every record: which job, which run of it;
//! * `ignored` tells an author what has no effect here;
//! * `sweep` cleans a session up, `survivors` ends processes that nothing else has ended, `attempt` removes what the runner has left,
//!   `sweeper` does all that for another session in a process of its own, `whose` tells sessions of this configuration from those
//!   of others; [`reap`] is `motmot reap`, as far as it needs the rights of a stage.
//!
//! By a first word that no runner says, a stage's program is something else: `keep-login` (of prepare and run) keeps a login
//! session, `still-runs` (of config) asks GitLab for another stage, `sweep` and `reap` (of cleanup) are the above.

mod account;
mod attempt;
pub mod caller;
pub mod cleanup;
pub mod config;
mod confine;
mod edge;
mod ends;
mod groups;
mod hook;
mod ignored;
pub mod keeper;
mod lines;
pub mod prepare;
pub mod reap;
mod recorded;
mod request;
pub mod run;
mod scheduled;
mod still_runs;
mod survivors;
mod sweep;
mod sweeper;
mod tokens;
mod trial;
mod whose;

pub use edge::{command, main};
pub use whose::configuration;
