//! The admin's and the job's program.
fn main() {}
