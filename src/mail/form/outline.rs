//! A message in JSON without the content of its files: in the place of each stands a mark. What is left is small, and is
//! read, checked and written as if it were the whole; the files go from where they lie to where they belong, never in
//! memory as a whole ([`Assembly`](super::Assembly)).

use std::ops::Range;

use serde_json::Value;

use super::Form;
use super::file::{Checking, Unescaping};
use super::json::Fault;
use crate::mail::QueueId;

/// Values in one message. In memory each takes many times what it takes as text.
const MOST_VALUES: usize = 50_000;
/// A name of a property with each character escaped is not longer, with its quotes.
const LONGEST_NAME: usize = 80;

/// A message in JSON, without the content of its files.
#[derive(Clone, Debug)]
pub struct Outline {
    json: Vec<u8>,
    values: usize,
    files: Files,
}

/// The files of a message, and how each is marked.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// How every mark begins. Nobody knows it beforehand, so no text of the message holds one.
    begin: String,
    files: Vec<FileText>,
}

/// Where the content of a file stands in the message: a text in base64.
#[derive(Clone, Debug)]
pub(super) struct FileText {
    /// Its octets between the quotes.
    pub(super) place: Range<u64>,
    /// Characters of base64 in it.
    pub(super) characters: u64,
    /// Why it is not base64.
    pub(super) flaw: Option<String>,
    /// Where its mark stands in the outline.
    mark: Range<usize>,
}

/// Takes a message in JSON piece by piece.
#[derive(Debug)]
pub struct Outliner {
    outline: Outline,
    /// The property that holds a file's content.
    name: &'static str,
    /// Octets taken so far.
    taken: u64,
    within: Within,
    /// The last text outside of files, with its quotes.
    last: Range<usize>,
    /// Whether a text that begins now is a file's content.
    due: bool,
}

#[derive(Debug)]
enum Within {
    Structure,
    Text { escaped: bool },
    File { from: u64, unescaping: Unescaping, checking: Checking },
}

impl Outliner {
    /// Starts with a message in `form`.
    pub fn new(form: Form) -> Self {
        let begin = format!("=_{}_file_", QueueId::fresh());
        let outline = Outline { json: Vec::new(), values: 0, files: Files { begin, files: Vec::new() } };
        let name = match form {
            Form::Microsoft => "contentBytes",
            Form::Jmap => "content",
        };
        Self { outline, name, taken: 0, within: Within::Structure, last: 0..0, due: false }
    }

    /// Takes the next octets.
    pub fn push(&mut self, octets: &[u8]) {
        if self.outline.values > MOST_VALUES {
            // It is refused; nothing more of it need be kept.
            self.taken += octets.len() as u64;
            return;
        }
        let mut rest = octets;
        while let Some(&octet) = rest.first() {
            let mut run = 1;
            match &mut self.within {
                Within::Structure => self.structure(octet),
                Within::Text { escaped } if *escaped => {
                    *escaped = false;
                    self.outline.json.push(octet);
                }
                Within::Text { escaped } => {
                    run = memchr::memchr2(b'\\', b'"', rest).unwrap_or(rest.len()).max(1);
                    self.outline.json.extend_from_slice(&rest[..run]);
                    *escaped = octet == b'\\';
                    if octet == b'"' {
                        self.end_of_text();
                    }
                }
                Within::File { unescaping, checking, .. } => match unescaping.next(octet) {
                    None if unescaping.is_at_end() => self.end_of_file(),
                    None => {}
                    Some(character) => checking.add(character),
                },
            }
            self.taken += run as u64;
            rest = &rest[run..];
        }
    }

    /// Octets that are kept of what came.
    pub fn kept(&self) -> usize {
        self.outline.json.len()
    }

    /// All has come.
    pub fn finish(mut self) -> Outline {
        if let Within::File { from, .. } = self.within {
            // The text has no end, and this is no JSON: the place alone counts, for the fault.
            let (place, mark) = (from..self.taken, self.kept()..self.kept());
            self.outline.files.files.push(FileText { place, characters: 0, flaw: None, mark });
        }
        self.outline
    }

    fn structure(&mut self, octet: u8) {
        let due = std::mem::take(&mut self.due);
        self.outline.json.push(octet);
        match octet {
            b'"' if due => {
                let (unescaping, checking) = (Unescaping::default(), Checking::default());
                self.within = Within::File { from: self.taken + 1, unescaping, checking };
            }
            b'"' => {
                self.last = self.kept() - 1..self.kept();
                self.within = Within::Text { escaped: false };
            }
            b':' => self.due = self.is_named(),
            b' ' | b'\t' | b'\r' | b'\n' => self.due = due,
            // Each value but the first stands behind a comma or the beginning of what holds it.
            b',' | b'[' | b'{' => self.outline.values += 1,
            _ => {}
        }
    }

    fn end_of_text(&mut self) {
        self.last.end = self.kept();
        self.within = Within::Structure;
    }

    fn end_of_file(&mut self) {
        let Within::File { from, checking, .. } = std::mem::replace(&mut self.within, Within::Structure) else {
            return;
        };
        let Outline { json, files, .. } = &mut self.outline;
        let from_here = json.len();
        json.extend_from_slice(files.mark(files.files.len()).as_bytes());
        let mark = from_here..json.len();
        json.push(b'"');
        let (characters, flaw) = checking.finish();
        files.files.push(FileText { place: from..self.taken, characters, flaw, mark });
    }

    /// Whether the last text is the name of the property that holds a file's content, however it is escaped.
    fn is_named(&self) -> bool {
        let text = &self.outline.json[self.last.clone()];
        let is_short = text.len() <= LONGEST_NAME;
        is_short && serde_json::from_slice::<String>(text).is_ok_and(|name| name == self.name)
    }
}

impl Outline {
    /// The values, and the files.
    pub(super) fn read(self) -> Result<(Value, Files), Fault> {
        if self.values > MOST_VALUES {
            let why = format!("a message has at most {MOST_VALUES} values; hand it in as MIME");
            return Err(Fault { path: "the message".to_owned(), why });
        }
        // Some programs of Windows begin every text with a byte order mark.
        let octets = self.json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.json);
        let value = serde_json::from_slice(octets).map_err(|error| Fault {
            path: format!("line {}, column {}", error.line(), self.column(&error, self.json.len() - octets.len())),
            why: "this is not JSON; check quotes, commas and braces".to_owned(),
        })?;
        Ok((value, self.files))
    }

    /// The column of an error in the message as it came, `skipped` octets of which were not read.
    fn column(&self, error: &serde_json::Error, skipped: usize) -> u64 {
        let mut begin = skipped;
        for _ in 1..error.line() {
            begin += memchr::memchr(b'\n', &self.json[begin..]).map_or(0, |at| at + 1);
        }
        let before = begin..=begin + error.column();
        let files = self.files.files.iter().filter(|file| before.contains(&file.mark.start));
        let (texts, marks) = files.fold((0, 0), |(texts, marks), file| {
            (texts + file.place.end - file.place.start, marks + file.mark.len() as u64)
        });
        (error.column() as u64 + texts).saturating_sub(marks)
    }
}

impl Files {
    fn mark(&self, number: usize) -> String {
        format!("{}{number:08}", self.begin)
    }

    /// The file of a mark.
    pub(super) fn marked(&self, mark: &str) -> Option<&FileText> {
        self.files.get(mark.strip_prefix(&self.begin)?.parse::<usize>().ok()?)
    }

    /// The next mark in `octets`: its place there, and its file.
    pub(super) fn find(&self, octets: &[u8]) -> Option<(Range<usize>, &FileText)> {
        let at = memchr::memmem::find(octets, self.begin.as_bytes())?;
        let place = at..at + self.begin.len() + 8;
        let mark = std::str::from_utf8(octets.get(place.clone())?).ok()?;
        Some((place, self.marked(mark)?))
    }
}
