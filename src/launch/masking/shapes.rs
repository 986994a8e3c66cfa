//! The shapes in which a signature is looked for: as it is, and as encoders of everyday use write it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// So many characters of a signature, one after the other, are a piece of it and no chance. The pages promise that 16 are.
const LEAST: usize = 12;

/// So many characters are looked up at once; a shape has no fewer.
pub(super) const GRAM: usize = 4;

/// One of them.
pub(super) struct Shape {
    /// What it consists of, without line breaks.
    pub(super) symbols: Vec<u8>,
    /// So many of them in a row are masked.
    pub(super) least: usize,
}

/// All shapes of a signature that can be looked for. The first is the signature itself.
///
/// A token in base64 needs no shape of its own: whatever encodes the token encodes its signature, and without that it is of
/// no use. Where the signature begins in the encoded text depends on the length of what is before it: three alignments.
pub(super) fn shapes_of(signature: &str) -> Vec<Shape> {
    let standard = signature.replace('-', "+").replace('_', "/");
    let [upper, lower] = ["%2D", "%2d"].map(|dash| signature.replace('-', dash));
    let hex = |digits: &[u8; 16], before: &str| {
        let mut text = String::with_capacity(signature.len() * 3);
        for byte in signature.bytes() {
            text.push_str(before);
            text.extend([byte >> 4, byte & 0xf].map(|digit| char::from(digits[usize::from(digit)])));
        }
        text
    };
    let (small, capital) = (b"0123456789abcdef", b"0123456789ABCDEF");
    let mut shapes = vec![
        Shape::new(signature.to_owned(), LEAST),
        Shape::new(standard, LEAST),
        Shape::new(upper.replace('_', "%5F"), LEAST),
        Shape::new(lower.replace('_', "%5f"), LEAST),
        Shape::new(hex(small, ""), 2 * LEAST),
        Shape::new(hex(capital, ""), 2 * LEAST),
        Shape::new(hex(small, "%"), 3 * LEAST),
        Shape::new(hex(capital, "%"), 3 * LEAST),
    ];
    shapes.extend((0..3).map(|before| Shape::new(base64_after(before, signature), LEAST * 4 / 3)));
    let mut known: Vec<Shape> = Vec::new();
    for shape in shapes {
        let is_long_enough = shape.symbols.len() >= GRAM;
        if is_long_enough && !known.iter().any(|other| other.symbols == shape.symbols) {
            known.push(shape);
        }
    }
    known
}

impl Shape {
    fn new(symbols: String, least: usize) -> Self {
        Self { least: least.min(symbols.len()), symbols: symbols.into_bytes() }
    }
}

/// What base64 makes of the signature after so many other bytes, without the characters that others have a part in. It is
/// the same in both alphabets: `+` and `/` do not occur in base64 of letters, digits, `-` and `_`.
fn base64_after(before: usize, signature: &str) -> String {
    let encoded = BASE64_STANDARD.encode([&vec![0; before], signature.as_bytes()].concat());
    let first = (before * 8).div_ceil(6);
    encoded[first..(before + signature.len()) * 8 / 6].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn base64_of_whatever_ends_in_the_signature_contains_one_of_three_shapes(
            before in "[ -~]{0,9}",
            signature in "[A-Za-z0-9_-]{86}",
            after in "[ -~\n]{0,4}",
        ) {
            let text = format!("{before}{signature}{after}");
            let shapes = shapes_of(&signature);
            for encoded in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)] {
                let held = shapes.iter().filter(|shape| memchr::memmem::find(encoded.as_bytes(), &shape.symbols).is_some());
                let longest = held.map(|shape| shape.symbols.len()).max().unwrap_or(0);
                prop_assert!(longest >= 86 * 4 / 3 - 3, "{encoded}");
            }
        }
    }
}
