//! Decodes content as it streams by (RFC 2045 section 6). Lenient as mail programs are: what is no base64 is skipped, a
//! wrong escape stays as it stands.

/// How the content of a part is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Not at all: 7bit, 8bit, binary, or a word nobody knows.
    Identity,
    /// Base64.
    Base64,
    /// Quoted-printable.
    QuotedPrintable,
}

/// Takes an encoding away.
#[derive(Clone, Debug)]
pub struct Decoder(State);

#[derive(Clone, Debug)]
enum State {
    Identity,
    /// The bits that do not make an octet yet, and how many.
    Base64 {
        bits: u32,
        count: u32,
    },
    /// Octets whose meaning depends on those behind them: blanks, or `=` with what follows it.
    QuotedPrintable {
        pending: Vec<u8>,
    },
}

impl Decoder {
    /// At the start of the content.
    pub const fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Identity => State::Identity,
            Encoding::Base64 => State::Base64 { bits: 0, count: 0 },
            Encoding::QuotedPrintable => State::QuotedPrintable { pending: Vec::new() },
        })
    }

    /// Decodes the next octets to the end of `out`.
    pub fn decode(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(octets),
            State::Base64 { bits, count } => {
                for &octet in octets {
                    base64(octet, (bits, count), out);
                }
            }
            State::QuotedPrintable { pending } => {
                for &octet in octets {
                    quoted_printable(octet, pending, out);
                }
            }
        }
    }

    /// The end of the content.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let State::QuotedPrintable { pending } = &mut self.0 {
            // Blanks at the end of a line mean nothing, and a lone `=` joins it to a line that never came.
            let kept = pending.trim_ascii_end();
            out.extend_from_slice(kept.strip_suffix(b"=").unwrap_or(kept));
            pending.clear();
        }
    }
}

fn base64(octet: u8, (bits, count): (&mut u32, &mut u32), out: &mut Vec<u8>) {
    let value = match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        // Padding ends a group; some programs put several texts of base64 behind one another.
        b'=' => {
            (*bits, *count) = (0, 0);
            return;
        }
        _ => return,
    };
    *bits = (*bits << 6) | u32::from(value);
    *count += 6;
    if *count >= 8 {
        *count -= 8;
        out.push((*bits >> *count).to_le_bytes()[0]);
        *bits &= (1 << *count) - 1;
    }
}

/// Blanks kept back at most; a line of blanks alone must not fill the memory.
const MAX_PENDING: usize = 10_000;

fn quoted_printable(octet: u8, pending: &mut Vec<u8>, out: &mut Vec<u8>) {
    if pending.first() == Some(&b'=') {
        pending.push(octet);
        return escape(pending, out);
    }
    match octet {
        b' ' | b'\t' if pending.len() < MAX_PENDING => pending.push(octet),
        b'\r' | b'\n' => {
            pending.clear();
            out.push(octet);
        }
        _ => {
            out.append(pending);
            if octet == b'=' { pending.push(octet) } else { out.push(octet) }
        }
    }
}

/// `pending` is `=` and one octet or more.
fn escape(pending: &mut Vec<u8>, out: &mut Vec<u8>) {
    match pending[1..] {
        // A line end after `=`, blanks between them or not, is none.
        [.., b'\n'] => pending.clear(),
        [.., b' ' | b'\t' | b'\r'] if pending[1..].trim_ascii().is_empty() && pending.len() < MAX_PENDING => {}
        [high] if high.is_ascii_hexdigit() => {}
        [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            out.push(hex(high) << 4 | hex(low));
            pending.clear();
        }
        _ => out.append(pending),
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}
