//! Line ends made canonical: what follows this has CRLF and no other CR or LF.

use memchr::memchr3;

/// A longer run of CR is not waited for: the oldest of them count as lone ones. Bounds what is kept between calls.
const LONGEST_RUN: usize = 1000;

/// What content held that a message should not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// A NUL.
    pub nul: bool,
    /// An LF without a CR before it.
    pub bare_lf: bool,
    /// A CR without an LF behind it.
    pub bare_cr: bool,
}

/// The part of the message that the next octet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Section {
    /// The header; `line_is_empty` while the current line has no octet yet.
    Header { line_is_empty: bool },
    /// What follows the first empty line.
    Body,
}

/// Turns any run of CR before LF, and a lone LF, into CRLF. A lone CR becomes CRLF in the body and a blank in the
/// header, where a line break would begin another header field.
#[derive(Debug)]
pub struct LineEnds {
    section: Section,
    /// CRs at the end of what was pushed so far, whose meaning the next octet decides.
    returns: usize,
    findings: Findings,
}

impl Default for LineEnds {
    fn default() -> Self {
        Self::new()
    }
}

impl LineEnds {
    /// At the beginning of a message's header.
    pub fn new() -> Self {
        Self { section: Section::Header { line_is_empty: true }, returns: 0, findings: Findings::default() }
    }

    /// Appends `input` with canonical line ends to `out`: at most twice its length and
    /// 2,000 octets.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.reserve(input.len() + 2);
        let mut rest = input;
        while !rest.is_empty() {
            let clean = if self.returns == 0 { self.clean_prefix(rest) } else { 0 };
            out.extend_from_slice(&rest[..clean]);
            rest = &rest[clean..];
            if let Some((&octet, behind)) = rest.split_first()
                && self.special(octet, out)
            {
                rest = behind;
            }
        }
    }

    /// Ends the message: a CR at its very end is a lone one.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.lone_returns(out);
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        self.findings
    }

    /// The length of the longest beginning of `input` that stays as it is: text and CRLF. This is the path of nearly
    /// every octet.
    fn clean_prefix(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        while let Some(found) = memchr3(b'\r', b'\n', 0, &input[at..]) {
            if found > 0 {
                self.mark_text();
            }
            at += found;
            match input[at..] {
                [b'\r', b'\n', ..] => {
                    self.mark_line_end();
                    at += 2;
                }
                _ => return at,
            }
        }
        if at < input.len() {
            self.mark_text();
        }
        input.len()
    }

    /// Takes one octet that is not clean text. Returns whether it was used up.
    fn special(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        match octet {
            b'\r' => {
                self.returns += 1;
                if self.returns > LONGEST_RUN {
                    self.returns -= 1;
                    self.lone_return(out);
                }
                true
            }
            b'\n' => {
                match self.returns {
                    0 => self.findings.bare_lf = true,
                    1 => {}
                    _ => self.findings.bare_cr = true,
                }
                self.returns = 0;
                self.mark_line_end();
                out.extend_from_slice(b"\r\n");
                true
            }
            // The CRs before it were lone ones; then it is looked at again.
            _ if self.returns > 0 => {
                self.lone_returns(out);
                false
            }
            octet => {
                self.findings.nul |= octet == 0;
                self.mark_text();
                out.push(octet);
                true
            }
        }
    }

    fn lone_returns(&mut self, out: &mut Vec<u8>) {
        for _ in 0..std::mem::take(&mut self.returns) {
            self.lone_return(out);
        }
    }

    fn lone_return(&mut self, out: &mut Vec<u8>) {
        self.findings.bare_cr = true;
        match self.section {
            Section::Header { .. } => {
                self.mark_text();
                out.push(b' ');
            }
            Section::Body => out.extend_from_slice(b"\r\n"),
        }
    }

    fn mark_text(&mut self) {
        if self.section != Section::Body {
            self.section = Section::Header { line_is_empty: false };
        }
    }

    fn mark_line_end(&mut self) {
        self.section = match self.section {
            Section::Header { line_is_empty: false } => Section::Header { line_is_empty: true },
            Section::Header { line_is_empty: true } | Section::Body => Section::Body,
        };
    }
}
