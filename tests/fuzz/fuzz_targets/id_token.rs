#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| motmot::probe::fuzz::id_token(bytes));
