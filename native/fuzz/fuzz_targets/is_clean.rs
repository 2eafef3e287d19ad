//! No text panics, and no text around a credential makes it clean.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanflow_engine::cleanliness::is_clean;

const CREDENTIALS: [&str; 6] = [
    "password=hunter2hunter2",
    "Authorization: Bearer abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "postgres://me:hunter2@host/db",
    "4111 1111 1111 1111",
    "-----BEGIN PRIVATE KEY-----",
];

fuzz_target!(|text: &str| {
    let _ = is_clean(text);
    // Not in the middle of a word or of a number, where Python sees none of them either.
    let middle = (0..=text.len() / 2)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    let (before, after) = text.split_at(middle);
    for credential in CREDENTIALS {
        assert!(!is_clean(&format!("{before}\n {credential} \n{after}")), "{credential}");
    }
});
