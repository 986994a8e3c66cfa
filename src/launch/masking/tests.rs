use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use proptest::prelude::*;
use proptest::sample::Index as Pick;

use super::*;

const HEAD: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJlZSJ9.";
const SIGNATURE: &str = "Kd3tqEw9_x7sV-2aZ0pLmN4cRb8yHfJ1uTgXoIeWkQvS6dF5hG3jBnMlPqOiUaYzCxEr_7-KtWsDfGhJ2Lp0Zv";

fn token() -> String {
    format!("{HEAD}{SIGNATURE}")
}

fn masked(pieces: &[&[u8]]) -> Vec<u8> {
    masked_of(&[Secret::token(&token())], pieces)
}

fn masked_of(secrets: &[Secret], pieces: &[&[u8]]) -> Vec<u8> {
    let known = Secrets::default();
    for secret in secrets {
        known.add(secret.clone(), i64::MAX, 0);
    }
    let mut masker = Masker::new(known);
    let mut log = Vec::new();
    let mut out = |bytes: &[u8]| {
        log.extend_from_slice(bytes);
        Ok::<(), ()>(())
    };
    for piece in pieces {
        masker.feed(piece, &mut out).expect("passed");
    }
    masker.finish(&mut out).expect("passed");
    log
}

/// All at once.
fn masked_text(text: &str) -> String {
    String::from_utf8(masked(&[text.as_bytes()])).expect("text")
}

/// What a reader has of a log who puts lines together and sees no colours.
fn put_together(log: &[u8]) -> Vec<u8> {
    let (mut all, mut at) = (Vec::new(), 0);
    while let gaps::Next::At(next) | gaps::Next::TooLong(next) = gaps::next(log, at) {
        at = next;
        if !gaps::is_gap(log[at]) {
            all.push(log[at]);
            at += 1;
        }
    }
    all
}

/// Whether so many characters in a row are left of something.
fn has_piece(log: &[u8], secret: &str, length: usize) -> bool {
    secret.as_bytes().windows(length).any(|piece| memchr::memmem::find(log, piece).is_some())
}

#[test]
fn a_token_is_masked_wherever_the_stream_is_cut() {
    let token = token();
    let text = format!("a {token} b {SIGNATURE} c{token}{token}");
    let expected = "a [MASKED] b [MASKED] c[MASKED][MASKED]";
    for first in 0..text.len() {
        for second in (first..text.len()).step_by(101) {
            let pieces = [&text.as_bytes()[..first], &text.as_bytes()[first..second], &text.as_bytes()[second..]];
            assert_eq!(String::from_utf8_lossy(&masked(&pieces)), expected, "{first} {second}");
        }
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(String::from_utf8_lossy(&masked(&bytes)), expected);
}

#[test]
fn a_signature_in_lines_of_any_width_is_masked_and_its_lines_stay() {
    for width in 1..=120 {
        let lines: Vec<&str> =
            SIGNATURE.as_bytes().chunks(width).map(|line| str::from_utf8(line).expect("ASCII")).collect();
        let expected = vec!["[MASKED]"; lines.len()].join("\n");
        assert_eq!(masked_text(&format!("x\n{}\ny", lines.join("\n"))), format!("x\n{expected}\ny"), "{width}");
    }
}

#[test]
fn colours_stay_and_what_they_colour_is_masked() {
    let (first, second) = SIGNATURE.split_at(30);
    let text = format!("a\u{1b}[31m{first}\u{1b}[0m\u{1b}[K{second}\u{1b}[0m b");
    assert_eq!(masked_text(&text), "a\u{1b}[31m[MASKED]\u{1b}[0m\u{1b}[K\u{1b}[0m b");
}

#[test]
fn a_piece_of_sixteen_is_masked_and_one_of_eleven_is_not() {
    for at in 0..SIGNATURE.len() - 16 {
        assert_eq!(masked_text(&format!("<{}>", &SIGNATURE[at..at + 16])), "<[MASKED]>");
        let short = format!("<{}>", &SIGNATURE[at..at + 11]);
        assert_eq!(masked_text(&short), short);
    }
}

#[test]
fn encodings_of_a_token_are_masked_wrapped_or_not() {
    let hex =
        |text: &str, before: &str| text.bytes().map(|byte| format!("{before}{byte:02x}")).collect::<Vec<_>>().concat();
    for before in ["", "a", "ab", "abc", "Authorization: Bearer "] {
        let text = format!("{before}{}\n", token());
        let signature = &text[before.len() + HEAD.len()..];
        for encoded in [
            BASE64_STANDARD.encode(&text),
            BASE64_URL_SAFE.encode(&text),
            hex(&text, ""),
            hex(&text, "").to_uppercase(),
            hex(&text, "%"),
            hex(&text, "%").to_uppercase(),
            text.replace('-', "%2D").replace('_', "%5F"),
            text.replace('-', "+").replace('_', "/"),
        ] {
            for width in [1, 16, 19, 60, 64, 76, 80, 10_000] {
                let lines: Vec<&str> =
                    encoded.as_bytes().chunks(width).map(|line| str::from_utf8(line).expect("ASCII")).collect();
                let left = masked_text(&lines.join("\n"));
                let left = put_together(left.as_bytes());
                let tail = &encoded[encoded.len() - signature.len()..];
                assert!(!has_piece(&left, tail, 16), "{width}: {}", String::from_utf8_lossy(&left));
                assert!(memchr::memmem::find(&left, MASK).is_some());
            }
        }
    }
}

#[test]
fn columns_of_a_hexadecimal_dump_are_masked() {
    let text = token();
    let dump: Vec<String> = text
        .as_bytes()
        .chunks(16)
        .enumerate()
        .map(|(line, bytes)| {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{:08x}  {}  |{}|\n", line * 16, hex.join(" "), String::from_utf8_lossy(bytes))
        })
        .collect();
    let dump = dump.concat();
    let left = masked_text(&dump);
    assert_eq!(left.lines().count(), dump.lines().count());
    assert!(!has_piece(left.as_bytes(), SIGNATURE, 16), "{left}");
    assert!(left.matches("[MASKED]").count() >= 8, "{left}");
}

#[test]
fn everything_else_passes_unchanged() {
    let nearly = format!("{HEAD}{}\n", &SIGNATURE[..11]);
    for text in
        ["", "eeeeeyyyJJJ", &nearly, "Kd3tKd3tqEw\n", "\u{0}\u{ff}no newline", "\u{1b}[31", "  \n\n \u{1b}[0m  "]
    {
        for size in 1..8 {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(masked(&pieces), text.as_bytes(), "{text:?}");
        }
    }
}

#[test]
fn a_complete_line_is_held_back_only_if_it_ends_in_a_piece() {
    let known = Secrets::default();
    known.add(Secret::token(&token()), i64::MAX, 0);
    let mut masker = Masker::new(known);
    let mut feed = |line: &str| {
        let mut log = Vec::new();
        let fed = masker.feed(line.as_bytes(), |bytes| {
            log.extend_from_slice(bytes);
            Ok::<(), ()>(())
        });
        fed.expect("passed");
        String::from_utf8(log).expect("text")
    };
    let part = format!("ends like a signature: {}\n", &SIGNATURE[..5]);
    for line in ["some line\n", "ends like one: eyJhbGciOiJFUzI1NiJ9\n", &part, &format!("{HEAD}\n"), "prompt: "] {
        assert_eq!(feed(line), line);
    }
    assert_eq!(feed(&format!("whole: {SIGNATURE}\n")), "whole: [MASKED]\n");
    assert_eq!(feed(&format!("piece: {}\n", &SIGNATURE[..40])), "piece: ");
    assert_eq!(feed("next\n"), "[MASKED]\nnext\n");
}

#[test]
fn what_is_held_back_has_an_end() {
    let known = Secrets::default();
    known.add(Secret::token(&token()), i64::MAX, 0);
    let mut masker = Masker::new(known);
    let mut passed = 0;
    for piece in [&SIGNATURE[..40], &" ".repeat(100_000), &"\n".repeat(100_000), "\u{1b}[", &"0".repeat(100_000)] {
        let fed = masker.feed(piece.as_bytes(), |bytes| {
            passed += bytes.len();
            Ok::<(), ()>(())
        });
        fed.expect("passed");
        assert!(masker.text.len() < 10_000, "{}", masker.text.len());
    }
    assert!(passed > 300_000 - 10_000);
}

#[test]
fn a_secret_that_becomes_known_later_is_masked_from_then_on_and_forgotten_when_it_is_over() {
    let secrets = Secrets::default();
    let mut masker = Masker::new(secrets.clone());
    let mut log = Vec::new();
    let mut feed = |piece: &str, log: &mut Vec<u8>| {
        masker.feed(piece.as_bytes(), |bytes| {
            log.extend_from_slice(bytes);
            Ok::<(), ()>(())
        })
    };
    feed("one-and-only\n", &mut log).expect("passed");
    secrets.add(Secret::signature("one-and-only"), 100, 0);
    feed("one-and-only\n", &mut log).expect("passed");
    secrets.add(Secret::signature("two-of-them-"), 300, 200);
    feed("one-and-only two-of-them-\n", &mut log).expect("passed");
    assert_eq!(String::from_utf8_lossy(&log), "one-and-only\n[MASKED]\none-and-only [MASKED]\n");
}

/// Something that a job prints: a piece of a shape of the signature, with gaps in it; or anything else.
#[derive(Clone, Debug)]
enum Printed {
    Piece { shape: Pick, at: Pick, length: usize, gaps: Vec<(usize, String)> },
    Words(String),
}

fn printed() -> impl Strategy<Value = Printed> {
    let gap = prop_oneof![
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n    ".to_owned()),
        Just(" ".to_owned()),
        Just("\u{1b}[0m".to_owned()),
        Just("\u{1b}[01;31m\u{1b}[K".to_owned()),
        Just("\u{1b}(B".to_owned()),
        "[ \n\t]{1,20}",
    ];
    let gaps = proptest::collection::vec((1..30_usize, gap), 0..30);
    prop_oneof![
        (any::<Pick>(), any::<Pick>(), 16..90_usize, gaps).prop_map(|(shape, at, length, gaps)| Printed::Piece {
            shape,
            at,
            length,
            gaps
        }),
        "[!-~]{0,5}[ \n]{0,2}[ -~]{0,40}[\n:]".prop_map(Printed::Words),
    ]
}

/// So much of a shape as so many characters of the signature become in it.
fn in_shape(shape: &str, length: usize) -> usize {
    (length * shape.len()).div_ceil(SIGNATURE.len())
}

/// A piece of at least 16 characters of the signature in this shape, with these gaps.
fn piece_of(shape: &str, at: usize, length: usize, gaps: &[(usize, String)]) -> String {
    let length = in_shape(shape, length).min(shape.len());
    let piece = &shape[at.min(shape.len() - length)..][..length];
    let (mut text, mut from, mut gaps) = (String::new(), 0, gaps.iter().cycle());
    while from < piece.len() {
        let (width, gap) = gaps.next().map_or((piece.len(), ""), |(width, gap)| (*width, gap));
        let to = (from + width).min(piece.len());
        text += &piece[from..to];
        if to < piece.len() {
            text += gap;
        }
        from = to;
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// In chunks of any sizes, on two streams: whatever is printed of a signature, no reader who puts lines together and strips
    /// colours finds 16 characters of it in a row.
    #[test]
    fn no_piece_of_sixteen_characters_passes_however_it_is_printed(
        signature in "[A-Za-z0-9_-]{86}",
        items in proptest::collection::vec((printed(), any::<bool>()), 1..12),
        chunks in proptest::collection::vec(1..60_usize, 1..20),
    ) {
        let shapes: Vec<String> = shapes::shapes_of(&signature)
            .into_iter()
            .map(|shape| String::from_utf8(shape.symbols).expect("ASCII"))
            .collect();
        let known = Secrets::default();
        known.add(Secret::token(&format!("{HEAD}{signature}")), i64::MAX, 0);
        let mut streams = [String::new(), String::new()];
        for (item, second) in &items {
            let stream = &mut streams[usize::from(*second)];
            match item {
                Printed::Words(words) => *stream += words,
                Printed::Piece { shape, at, length, gaps } => {
                    let shape = &shapes[shape.index(shapes.len())];
                    // What comes after another piece is not to go on where that ended.
                    *stream += "|";
                    *stream += &piece_of(shape, at.index(shape.len()), *length, gaps);
                }
            }
        }
        for stream in streams {
            let (mut masker, mut log) = (Masker::new(known.clone()), Vec::new());
            let mut out = |bytes: &[u8]| {
                log.extend_from_slice(bytes);
                Ok::<(), ()>(())
            };
            let (mut rest, mut sizes) = (stream.as_bytes(), chunks.iter().cycle());
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at(rest.len().min(*sizes.next().expect("endless")));
                masker.feed(chunk, &mut out).expect("passed");
                rest = more;
            }
            masker.finish(&mut out).expect("passed");
            let left = put_together(&log);
            for shape in &shapes {
                let length = 16 * shape.len() / signature.len();
                prop_assert!(!has_piece(&left, shape, length), "{:?}\n{:?}", stream, String::from_utf8_lossy(&log));
            }
        }
    }

    /// What is no piece is passed on, whatever the chunks.
    #[test]
    fn whatever_else_is_printed_passes_unchanged(
        text in "([ -~]{0,20}[\n\r\t\u{1b}]|\u{1b}\\[[0-9;]{0,5}m|\\PC{0,10}|[A-Za-z0-9_-]{1,9}\n|[0-9a-f]{1,30} ){0,30}",
        chunks in proptest::collection::vec(1..60_usize, 1..20),
    ) {
        let (mut rest, mut sizes, mut pieces) = (text.as_bytes(), chunks.iter().cycle(), Vec::new());
        while !rest.is_empty() {
            let (chunk, more) = rest.split_at(rest.len().min(*sizes.next().expect("endless")));
            pieces.push(chunk);
            rest = more;
        }
        prop_assert_eq!(masked(&pieces), text.as_bytes());
    }
}
