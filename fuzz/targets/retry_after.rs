#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webex_tokens::properties::retry_after(data));
