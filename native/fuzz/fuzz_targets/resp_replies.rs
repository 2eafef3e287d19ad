//! Whatever is sent instead of replies: no panic, nothing reserved for what was only announced, and the same whether it comes
//! at once or in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanflow_engine::resp_replies::{Problem, Replies, Token};

/// Bytes for a round trip of one command.
const ROOM: usize = 65_536 + 1024;

fuzz_target!(|input: (u8, Vec<u8>, Vec<u8>)| {
    let (wanted, sizes, mut bytes) = input;
    let wanted = usize::from(wanted % 4) + 1;
    bytes.truncate(ROOM);
    let mut at_once = Replies::new(wanted);
    let whole = at_once.feed(&bytes);
    check(&at_once, bytes.len());
    let mut in_pieces = Replies::new(wanted);
    let mut sizes = sizes.iter().map(|&size| usize::from(size) + 1).cycle();
    let mut rest = bytes.as_slice();
    let mut outcome = Ok(false);
    while !rest.is_empty() && outcome == Ok(false) {
        let (piece, after) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
        rest = after;
        outcome = in_pieces.feed(piece);
        check(&in_pieces, bytes.len());
    }
    match outcome {
        // What came too much may not have been looked at yet.
        Ok(true) if !rest.is_empty() => assert_eq!(whole, Err(Problem::TooMany)),
        _ => assert_eq!(outcome, whole),
    }
    if whole == Ok(true) {
        assert_eq!(at_once.tokens(), in_pieces.tokens());
        assert_eq!(at_once.all_well(), in_pieces.all_well());
    }
});

fn check(replies: &Replies, received: usize) {
    // The shortest reply has three bytes.
    assert!(replies.tokens().len() <= received / 3);
    for token in replies.tokens() {
        if let Token::Text(range) | Token::Error(range) = token {
            assert!(replies.text(range).len() + 3 <= received);
        }
    }
}
