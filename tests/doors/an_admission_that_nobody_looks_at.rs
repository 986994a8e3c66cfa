#![deny(unused_must_use)]

use crate::identity::Identity;
use crate::policy::{self, Mode, PolicyError};
use crate::settings::Settings;
use crate::sys::accounts::Nss;

pub fn decide(settings: &Settings, mode: Mode, identity: &Identity) -> Result<(), PolicyError> {
    policy::decide(&settings.rules(), mode, identity, &Nss)?; //~ unused_must_use
    Ok(())
}
