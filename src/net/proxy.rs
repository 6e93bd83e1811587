//! Who is really there, when a proxy stands between: the header of the PROXY protocol, versions 1 and 2.
//!
//! Source: the `proxy-protocol.txt` of HAProxy. The crate `proxy-header` reads the header; here it is cut off the
//! connection without an octet too many, so that TLS or the client's first words stay where they are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How long a proxy may take for its header, which it sends at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The beginning of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The beginning of version 1.
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1 with its end.
const LONGEST_LINE: usize = 107;
/// The longest rest of version 2 that is taken: addresses and what a proxy adds about TLS.
const LONGEST_REST: usize = 4096;
/// The octets of version 2 before its rest.
const FIXED: usize = SIGNATURE.len() + 4;

/// Why nobody knows who is there.
#[derive(Debug, thiserror::Error)]
pub enum NotIntroduced {
    /// No header in time.
    #[error("no PROXY header came in time")]
    Silent,
    /// The connection ended before the header did.
    #[error("the connection ended within the PROXY header: {0}")]
    Broken(#[from] io::Error),
    /// Something else came.
    #[error("what came first is no PROXY header")]
    Other,
    /// The client has as many sessions as one address may have.
    #[error("`{0}` has too many sessions")]
    TooMany(IpAddr),
}

impl NotIntroduced {
    /// Tells the log of a connection that is closed for it.
    pub fn tell(&self, from: SocketAddr) {
        let hint = "have the proxy send a PROXY header, or take its address out of `proxy_from`";
        tracing::warn!(peer = %from, why = %self, hint, "a connection from a proxy was closed");
    }
}

/// Reads a header off the connection. `None`: the proxy speaks for itself (a health check), or does not know for whom.
///
/// # Errors
/// There is no header, or it is malformed.
pub async fn receive<S>(stream: &mut S, patience: Duration) -> Result<Option<IpAddr>, NotIntroduced>
where
    S: AsyncRead + Unpin,
{
    let header = timeout(patience, header(stream)).await.map_err(|_| NotIntroduced::Silent)??;
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (parsed, length) = ProxyHeader::parse(&header, config).map_err(|_| NotIntroduced::Other)?;
    if length != header.len() {
        return Err(NotIntroduced::Other);
    }
    match parsed.proxied_address() {
        Some(address) if address.protocol == Protocol::Stream => Ok(Some(address.source.ip().to_canonical())),
        Some(_) => Err(NotIntroduced::Other),
        None => Ok(None),
    }
}

/// Whether a client's first octets are a header.
pub fn begins_header(first: &[u8]) -> bool {
    first.starts_with(WORD) || first.starts_with(SIGNATURE)
}

/// The octets of the header and not one more.
async fn header<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, NotIntroduced> {
    let mut header = vec![0; SIGNATURE.len()];
    // Every header is longer than the signature. What is not one is noticed at its first octet, not waited for.
    for at in 0..header.len() {
        header[at] = stream.read_u8().await?;
        let so_far = &header[..=at];
        if !SIGNATURE.starts_with(so_far) && !WORD.starts_with(&so_far[..so_far.len().min(WORD.len())]) {
            return Err(NotIntroduced::Other);
        }
    }
    if header.starts_with(SIGNATURE) { binary(stream, header).await } else { line(stream, header).await }
}

async fn binary<S: AsyncRead + Unpin>(stream: &mut S, mut header: Vec<u8>) -> Result<Vec<u8>, NotIntroduced> {
    header.resize(FIXED, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
    if rest > LONGEST_REST {
        return Err(NotIntroduced::Other);
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    Ok(header)
}

/// A line has no length in front, so it is read by the octet.
async fn line<S: AsyncRead + Unpin>(stream: &mut S, mut header: Vec<u8>) -> Result<Vec<u8>, NotIntroduced> {
    while !header.ends_with(b"\r\n") {
        if header.len() >= LONGEST_LINE {
            return Err(NotIntroduced::Other);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Version 2: signature, version and command, family and protocol, then the rest behind its length.
    fn binary_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    fn v4(source: [u8; 4]) -> Vec<u8> {
        [source.as_slice(), &[10, 0, 0, 1], &[0xd4, 0x31, 0, 25]].concat()
    }

    /// What is made of the octets, and what is left of them for the session.
    async fn read(octets: &[u8], piece: usize) -> (Result<Option<IpAddr>, String>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(8192);
        let pieces: Vec<Vec<u8>> = octets.chunks(piece).map(<[u8]>::to_vec).collect();
        let sending = tokio::spawn(async move {
            for piece in pieces {
                theirs.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let found = receive(&mut ours, PATIENCE).await.map_err(|error| error.to_string());
        sending.await.unwrap();
        let mut left = Vec::new();
        ours.read_to_end(&mut left).await.unwrap();
        (found, left)
    }

    #[tokio::test]
    async fn headers_are_read_whole_or_in_pieces_and_nothing_behind_them_is_taken() {
        let client: IpAddr = "203.0.113.9".parse().unwrap();
        let client6: IpAddr = "2001:db8::9".parse().unwrap();
        let mut v6 = client6.to_string().parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
        v6.extend([0; 16]);
        v6.extend([0, 1, 0, 25]);
        let mapped = b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 25\r\n".to_vec();
        let with_tls = [v4([203, 0, 113, 9]), vec![0x20, 0, 5, 1, 0, 0, 0, 0], vec![4, 0, 1, 0]].concat();
        let table = [
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 54321 25\r\n".to_vec(), Some(client), "HAProxy's send-proxy"),
            (b"PROXY TCP6 2001:db8::9 2001:db8::1 54321 25\r\n".to_vec(), Some(client6), "the same for IPv6"),
            (mapped, Some(client), "an address of IPv4 in the form of IPv6 is the same client"),
            (b"PROXY UNKNOWN\r\n".to_vec(), None, "the proxy does not know"),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None, "whatever follows UNKNOWN is not believed"),
            (binary_header(0x21, 0x11, &v4([203, 0, 113, 9])), Some(client), "HAProxy's send-proxy-v2"),
            (binary_header(0x21, 0x21, &v6), Some(client6), "the same for IPv6"),
            (binary_header(0x21, 0x11, &with_tls), Some(client), "send-proxy-v2-ssl adds fields"),
            (binary_header(0x20, 0x00, &[]), None, "HAProxy's health check"),
            (binary_header(0x20, 0x11, &v4([203, 0, 113, 9])), None, "LOCAL: its addresses are not believed"),
            (binary_header(0x21, 0x00, &[]), None, "unspecified"),
        ];
        for (header, expected, why) in table {
            let behind = [b"".as_slice(), b"EHLO x\r\n", &[0x16, 3, 1, 2, 0, 1]];
            for (behind, piece) in behind.into_iter().flat_map(|behind| [(behind, 1), (behind, 7), (behind, 4096)]) {
                let octets = [header.as_slice(), behind].concat();
                let (found, left) = read(&octets, piece).await;
                assert_eq!((found, left.as_slice()), (Ok(expected), behind), "{why}, in pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let no_header = "what came first is no PROXY header";
        let ended = "the connection ended within the PROXY header";
        let endless = format!("PROXY TCP4 {}", "1".repeat(200)).into_bytes();
        let table: [(Vec<u8>, &str, &str); 13] = [
            (b"EHLO x\r\n".to_vec(), no_header, "a client that came past the proxy"),
            (b"E".to_vec(), no_header, "it is not waited for more"),
            (vec![0x16, 3, 1, 2, 0, 1], no_header, "TLS before the header"),
            (b"PROXY TCP4 203.0.113.9".to_vec(), ended, "cut short"),
            (b"PROXY TCP4 203.0.113.999 10.0.0.1 1 25\r\n".to_vec(), no_header, "no address"),
            (b"PROXY TCP4 2001:db8::9 ::1 1 25\r\n".to_vec(), no_header, "of another family"),
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 1 99999\r\n".to_vec(), no_header, "no port"),
            (b"PROXY UDP4 203.0.113.9 10.0.0.1 1 25\r\n".to_vec(), no_header, "no such protocol"),
            (endless, no_header, "longer than a line can be"),
            (binary_header(0x31, 0x11, &v4([1, 2, 3, 4])), no_header, "version 3"),
            (binary_header(0x21, 0x12, &v4([1, 2, 3, 4])), no_header, "a datagram"),
            (binary_header(0x21, 0x11, &[1, 2, 3]), no_header, "too short for its addresses"),
            (binary_header(0x21, 0x11, &vec![0; LONGEST_REST + 1]), no_header, "longer than any proxy's"),
        ];
        for (octets, expected, why) in table {
            for piece in [1, 4096] {
                let found = read(&octets, piece).await.0.unwrap_err();
                assert!(found.starts_with(expected), "{why}: {found}");
            }
        }
    }

    #[tokio::test]
    async fn a_silent_proxy_is_not_waited_for_long() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(b"PROXY TC").await.unwrap();
        assert!(matches!(receive(&mut ours, Duration::ZERO).await, Err(NotIntroduced::Silent)));
    }
}
