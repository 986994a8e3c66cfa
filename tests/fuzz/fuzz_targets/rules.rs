#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| motmot::probe::fuzz::rules(bytes));
