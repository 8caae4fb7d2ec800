//! Arbitrary bytes against `fuzzed::rules`.
#![no_main]

#[path = "../../core/tests/laws/fuzzed.rs"]
#[expect(dead_code, reason = "each target runs one of its functions")]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::rules(bytes));
