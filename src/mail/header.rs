//! The header block of a message as octets (RFC 5322 section 2.2): its fields with their exact spans, so that what is
//! not edited stays as it was sent. Nothing is decoded here, and the time taken grows with the octets alone.

use super::Address;
use super::address_list::AddressList;
use super::failure::one_line;

/// Octets a header block may have; the listener refuses larger ones.
pub const MAX_HEADER: usize = 256 * 1024;

/// One field with its continuation lines, or a line inside the block that is no field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    raw: &'a [u8],
    /// Octets of the name; 0 where the line is no field.
    name: usize,
    /// Where the body begins, behind the colon.
    body: usize,
}

impl<'a> Field<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let no_field = Self { raw, name: 0, body: 0 };
        let first_line = &raw[..line_length(raw)];
        let Some(colon) = memchr::memchr(b':', first_line) else { return no_field };
        let name = first_line[..colon].trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return no_field;
        }
        Self { raw, name: name.len(), body: colon + 1 }
    }

    /// All its octets, line ends included.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The name as it was sent; empty for a line that is no field.
    pub fn name(&self) -> &'a [u8] {
        &self.raw[..self.name]
    }

    /// What stands behind the colon, folded as it was sent, with its line end.
    pub fn body(&self) -> &'a [u8] {
        &self.raw[self.body..]
    }

    /// Whether it is the field `name`, in whatever letter case.
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether it has the form `name:` at all.
    pub fn is_field(&self) -> bool {
        self.name != 0
    }

    /// Whether blanks stand between name and colon, which not every reader accepts (RFC 5322 section 4.5).
    pub fn has_blank_before_colon(&self) -> bool {
        self.is_field() && self.name + 1 != self.body
    }

    /// `From scanner Fri Jul  8 12:08:34 2011` as in mailbox files, which some programs put in front of the header.
    fn is_mailbox_file_line(&self) -> bool {
        let mut words = self.raw.split(|&octet| is_blank(octet));
        let from = words.next().is_some_and(|word| matches!(word, b"From" | b">From"));
        let days: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
        !self.is_field() && from && words.nth(1).is_some_and(|word| days.contains(&word))
    }
}

/// The header of a message, as spans of its octets.
#[derive(Clone, Debug)]
pub struct HeaderBlock<'a> {
    fields: Vec<Field<'a>>,
    end: usize,
    terminated: bool,
}

impl<'a> HeaderBlock<'a> {
    /// Reads the header block at the start of `head`. A block without an empty line at its end goes to the end of
    /// `head`; the separator line of a mailbox file is passed over. If not even the first line is a field there is no header: the block is empty and `head` is all text.
    pub fn parse(head: &'a [u8]) -> Self {
        let mut block = Self { fields: Vec::new(), end: 0, terminated: false };
        let mut at = 0;
        while at < head.len() {
            let line = line_length(&head[at..]);
            if matches!(&head[at..at + line], b"\r\n" | b"\n") {
                block.terminated = true;
                at += line;
                break;
            }
            let length = field_length(&head[at..]);
            let field = Field::read(&head[at..at + length]);
            at += length;
            if field.is_mailbox_file_line() {
                continue;
            }
            if block.fields.is_empty() && !field.is_field() {
                return Self { fields: Vec::new(), end: 0, terminated: false };
            }
            block.fields.push(field);
        }
        block.end = at;
        block
    }

    /// The fields in order, and the lines among them that are none.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// Octets of the block, with the empty line at its end if there is one.
    pub fn octets(&self) -> usize {
        self.end
    }

    /// Whether an empty line ends the block.
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// Whether there is a header at all, be it empty.
    pub fn has_header(&self) -> bool {
        self.terminated || !self.fields.is_empty()
    }

    /// All fields called `name`.
    pub fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Field<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }
}

/// What a listener wants to know of a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// Octets up to and including the empty line that ends the header block. `Some(0)` if there is no header;
    /// `None` if the block does not end within the octets inspected.
    pub header_octets: Option<usize>,
    /// Whether there is a header at all. If not, whoever adds fields adds an empty line too.
    pub has_header: bool,
    /// How many `Received` fields there are.
    pub received: usize,
    /// Whether a `From` field is there, whatever it holds.
    pub has_from: bool,
    /// Whether a `Date` field is there.
    pub has_date: bool,
    /// Whether a `Message-ID` field is there.
    pub has_message_id: bool,
    /// What the `Message-ID` field holds, on one line; `None` if it is missing or empty.
    pub message_id: Option<String>,
    /// The addresses of all `From` fields.
    pub from: Vec<Address>,
}

/// Octets up to and including the empty line that ends the header block; `None` if there is none within `head`, which
/// may still grow.
pub fn header_octets(head: &[u8]) -> Option<usize> {
    let block = HeaderBlock::parse(head);
    block.is_terminated().then_some(block.octets())
}

/// The header block at the start of `head`, with the empty line that ends it; all of `head` if there is none.
pub fn header_of(head: &[u8]) -> &[u8] {
    &head[..header_octets(head).unwrap_or(head.len())]
}

/// Looks at the header at the start of `head`, which is in canonical form (CRLF line ends).
pub fn inspect(head: &[u8]) -> Inspection {
    let block = HeaderBlock::parse(head);
    let message_id = block.named("Message-ID").next().map(|field| one_line(&String::from_utf8_lossy(field.body())));
    let from = block.named("From").flat_map(|field| AddressList::parse(field.body()).into_addresses()).collect();
    Inspection {
        header_octets: (block.is_terminated() || !block.has_header()).then_some(block.octets()),
        has_header: block.has_header(),
        received: block.named("Received").count(),
        has_from: block.named("From").next().is_some(),
        has_date: block.named("Date").next().is_some(),
        has_message_id: message_id.is_some(),
        message_id: message_id.filter(|id| !id.is_empty()),
        from,
    }
}

/// Octets of the first line of `octets`, its line end included.
fn line_length(octets: &[u8]) -> usize {
    memchr::memchr(b'\n', octets).map_or(octets.len(), |at| at + 1)
}

/// Octets of the first line of `octets` and the continuation lines behind it.
fn field_length(octets: &[u8]) -> usize {
    let mut length = line_length(octets);
    while octets.get(length).copied().is_some_and(is_blank) {
        length += line_length(&octets[length..]);
    }
    length
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_octets() {
        let head = b"Subject: a\r\n b\r\nTO : x\r\nno field\r\nX-Odd:\r\n\r\nbody: not a field\r\n";
        let block = HeaderBlock::parse(head);
        let raw: Vec<&[u8]> = block.fields().iter().map(Field::raw).collect();
        assert_eq!(raw, [&b"Subject: a\r\n b\r\n"[..], b"TO : x\r\n", b"no field\r\n", b"X-Odd:\r\n"]);
        assert_eq!(block.fields()[0].body(), b" a\r\n b\r\n");
        assert!(block.fields()[1].is("to") && block.fields()[1].has_blank_before_colon());
        assert!(!block.fields()[2].is_field());
        assert_eq!(&head[block.octets()..], b"body: not a field\r\n");
    }

    #[test]
    fn a_header_is_told_from_a_text_that_has_none() {
        let table: [(&str, bool, Option<usize>, &str); 11] = [
            ("Subject: x\r\n\r\nbody", true, Some(14), "an ordinary message"),
            ("\r\nbody", true, Some(2), "an empty header"),
            ("Subject: x\r\n", true, None, "all header"),
            ("Hello world\r\nTo: x@y\r\n\r\n", false, Some(0), "text at once"),
            (" Subject: x\r\n\r\n", false, Some(0), "begins with a blank"),
            ("two words: x\r\n\r\n", false, Some(0), "a blank in the name"),
            ("https://example.com\r\n\r\n", true, Some(23), "cannot be told from a field"),
            ("\u{feff}Subject: x\r\n\r\n", false, Some(0), "a byte order mark"),
            ("From a@b Fri Jul  8 12:08:34 2011\r\nTo: x\r\n\r\n", true, Some(44), "the line of a mailbox file"),
            ("From a@b Fri Jul  8 12:08:34 2011\r\ntext\r\n", false, Some(0), "such a line before text"),
            ("", false, Some(0), "nothing"),
        ];
        for (head, has_header, octets, why) in table {
            let found = inspect(head.as_bytes());
            assert_eq!((found.has_header, found.header_octets), (has_header, octets), "{why}");
        }
    }

    #[test]
    fn the_end_of_a_header_is_found_wherever_its_octets_are_cut() {
        let head = b"Subject: x\r\n folded\r\n\r\nbody\r\n\r\n";
        for length in 0..head.len() {
            assert_eq!(header_octets(&head[..length]), (length >= 23).then_some(23), "{length}");
        }
    }

    #[test]
    fn an_inspection_tells_what_the_listener_asks() {
        let head =
            b"Received: a\r\nRECEIVED: b\r\nFrom: Ann <a@x.example>, b@x.example\r\nMessage-ID:\r\n <1@x>\r\n\r\n";
        let found = inspect(head);
        assert_eq!(found.received, 2);
        assert!(found.has_from && !found.has_date && found.has_message_id);
        assert_eq!(found.message_id.as_deref(), Some("<1@x>"));
        assert_eq!(found.from, ["a@x.example".parse().unwrap(), "b@x.example".parse().unwrap()]);
        let found = inspect(b"From: Scanner\r\nMessage-ID: \r\n\r\n");
        assert_eq!((found.has_from, found.from.len()), (true, 0));
        assert_eq!((found.has_message_id, found.message_id), (true, None));
    }
}
