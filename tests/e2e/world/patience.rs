//! Waiting for what must come, and measuring what must be quick, on a machine that is busy with other tests.

use std::time::{Duration, Instant};

/// How long anything may take. Nothing is measured by it: a test that waits so long has failed.
const LIMIT: Duration = Duration::from_mins(2);

/// Waits until something is true; panics when it has not come true after a generous time.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_or_tell(what, condition, String::new);
}

/// The same; then says, too, what there is instead.
#[track_caller]
pub fn until_or_tell(what: &str, mut condition: impl FnMut() -> bool, instead: impl Fn() -> String) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited too long until {what}\n{}", instead());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Measures something until it is as quick as it must be. Other tests keep the machine busy, but a delay of ours would be
/// in every try.
#[track_caller]
pub fn in_some_try<T: std::fmt::Debug>(mut measure: impl FnMut() -> T, quick: impl Fn(&T) -> bool) {
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let measured = measure();
        if quick(&measured) {
            return;
        }
        seen.push(measured);
    }
    panic!("in no try: {seen:?}");
}
