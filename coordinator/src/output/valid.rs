//! Bytes as text. Pure.

/// Whether more comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Closed,
}

/// Bytes as text: what is not UTF-8 is replaced, a character that is not complete yet is held in
/// `partial` for the next piece.
pub(super) fn take_valid(partial: &mut Vec<u8>, bytes: &[u8], end: End) -> String {
    partial.extend_from_slice(bytes);
    let held = match end {
        End::Open => unfinished(partial),
        End::Closed => 0,
    };
    let ready = partial.len() - held;
    let text = String::from_utf8_lossy(&partial[..ready]).into_owned();
    partial.drain(..ready);
    text
}

/// How many bytes at the end may be the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let may_go_on = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    if may_go_on { last.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_the_same_wherever_the_pieces_are_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "\\PC{0,40}",
            size in 1usize..9,
        ) {
            let mut whole = text.into_bytes();
            whole.extend(bytes);
            let mut partial = Vec::new();
            let mut out = String::new();
            for piece in whole.chunks(size) {
                out.push_str(&take_valid(&mut partial, piece, End::Open));
                prop_assert!(partial.len() < 4);
            }
            out.push_str(&take_valid(&mut partial, &[], End::Closed));
            prop_assert_eq!(out, String::from_utf8_lossy(&whole).into_owned());
        }
    }
}
