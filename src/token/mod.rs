//! The token of a stage: what it says, how it is signed, how it is checked.
