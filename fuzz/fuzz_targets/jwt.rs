#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| seamesh_fuzzing::run("jwt", data));
