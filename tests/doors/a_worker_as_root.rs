//! There is no number in a `Become` that somebody could set.

use crate::sys::privilege::Become;

fn root() -> Become {
    Become(0) //~ E0423
}
