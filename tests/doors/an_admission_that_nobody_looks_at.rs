#![deny(unused_must_use)]

use crate::identity::Identity;
use crate::policy::{self, Machine, Mode, PolicyError};
use crate::settings::Settings;

pub fn decide(settings: &Settings, mode: Mode, identity: &Identity) -> Result<(), PolicyError> {
    policy::decide(&settings.rules(), mode, identity, None, Machine::THIS)?; //~ unused_must_use
    Ok(())
}
