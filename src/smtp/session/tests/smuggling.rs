//! One message in is one message out.

use super::*;
use crate::smtp::DotStuffer;
use crate::smtp::data::DataDecoder;

/// Sequences that one server or another took for the end of content, or passed on to one that did.
const FORMS: [&str; 24] = [
    "\n.\n",
    "\n.\r",
    "\n.\r\n",
    "\r.\r",
    "\r.\n",
    "\r.\r\n",
    "\r\n.\n",
    "\r\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\0\n",
    "\r\n.\r\r\n",
    "\r\r.\r\r",
    "\n\n.\n\n",
    "\n.\n\r",
    "\r\n.\n\r",
    "\r\n.\r\r",
    "\n\r.\n\r",
    "\n\r.\r\n",
    "\r.\r\r\n",
    "\r\n .\r\n",
    "\r\n. \r\n",
    "\r\n\t.\r\n",
    "\r\n.\x0b\r\n",
];

const SECOND: &str = "MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: evil\r\n\r\nsmuggled";

#[test]
fn one_message_in_is_one_message_out_whatever_looks_like_an_end() {
    for form in FORMS {
        for head in ["Subject: x\r\n\r\nbody", "Subject: x", ""] {
            let content = format!("{head}{form}{SECOND}\r\n.\r\n");
            for pieces in splits(content.as_bytes()) {
                let (mut session, mut driver) = after(options(), DATA);
                let said: Vec<_> = pieces.iter().flat_map(|piece| driver.say(&mut session, piece)).collect();
                if form.contains('\0') {
                    assert_eq!(said, ["554 5.6.0 The message holds a NUL"], "{form:?}");
                    assert!(driver.messages.is_empty());
                } else {
                    assert_eq!(said, ["250 2.0.0 OK"], "{form:?}");
                    assert_eq!(driver.messages.len(), 1);
                    assert!(one_message_on_the_way_out(&driver.messages[0]), "{form:?}");
                }
            }
        }
    }
}

#[test]
fn the_end_is_found_however_it_is_cut() {
    for pieces in splits(b"Subject: x\r\n\r\nbody\r\n.\r\nNOOP\r\n") {
        let (mut session, mut driver) = after(options(), DATA);
        let said: Vec<_> = pieces.iter().flat_map(|piece| driver.say(&mut session, piece)).collect();
        assert_eq!(said, ["250 2.0.0 OK", "250 2.0.0 OK"]);
        assert_eq!(driver.messages, [b"Subject: x\r\n\r\nbody\r\n"]);
    }
}

/// The whole, all cuts into two, and octet by octet.
fn splits(octets: &[u8]) -> Vec<Vec<&[u8]>> {
    let in_two = (0..octets.len()).map(|at| vec![&octets[..at], &octets[at..]]);
    in_two.chain([octets.chunks(1).collect()]).collect()
}

/// What the next server gets: only CRLF, and one end for a strict reader and for one that takes lone LFs.
fn one_message_on_the_way_out(content: &[u8]) -> bool {
    let (mut stuffer, mut wire) = (DotStuffer::new(), Vec::new());
    stuffer.push(content, &mut wire);
    stuffer.finish(&mut wire);
    let bare = String::from_utf8_lossy(&wire).replace("\r\n", "");
    let ends_last = |endings| DataDecoder::new(endings).push(&wire, &mut Vec::new()) == Some(wire.len());
    !bare.contains(['\r', '\n', '\0']) && ends_last(LineEndings::Crlf) && ends_last(LineEndings::Lf)
}
