//! An SMTP connection: strict lines in, collected replies out.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::super::shared::Shared;

/// Room for one read, in octets.
const READ: usize = 16 << 10;

/// Anything that carries octets both ways.
pub(in crate::practice) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

/// Why a line is not a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::practice) enum BadLine {
    /// More octets than allowed before its end.
    TooLong,
    /// A CR or LF that is not part of CRLF.
    BareLineEnd,
    /// Octets that are not UTF-8.
    NotText,
}

/// A connection with what was read ahead and what is still to be written.
pub(in crate::practice) struct Connection {
    stream: Box<dyn Octets>,
    input: Vec<u8>,
    output: Vec<u8>,
    shared: Arc<Shared>,
}

impl Connection {
    pub(in crate::practice) fn new(stream: Box<dyn Octets>, shared: Arc<Shared>) -> Self {
        Self { stream, input: Vec::new(), output: Vec::new(), shared }
    }

    /// Says something; it leaves when the client's next octets are waited for, so pipelined replies travel together.
    pub(in crate::practice) fn say(&mut self, reply: &str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Says octets as they are.
    pub(in crate::practice) fn say_octets(&mut self, octets: &[u8]) {
        self.output.extend_from_slice(octets);
    }

    /// Octets the client sent beyond what was asked for.
    pub(in crate::practice) fn read_ahead(&self) -> usize {
        self.input.len()
    }

    /// The next line without its CRLF.
    pub(in crate::practice) async fn line(&mut self, longest: usize) -> io::Result<Result<String, BadLine>> {
        let mut searched = 0;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.input[searched..]) {
                let line: Vec<u8> = self.input.drain(..=searched + found).collect();
                return Ok(check_line(line, longest));
            }
            searched = self.input.len();
            if searched > longest {
                // The rest of the line is dropped as it comes; one octet stays, to keep it too long.
                self.input.drain(..searched - longest - 1);
                searched = self.input.len();
            }
            self.fill().await?;
        }
    }

    /// Everything that is there, at least one octet.
    pub(in crate::practice) async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.input.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.input))
    }

    /// Gives octets back that were not part of what was read.
    pub(in crate::practice) fn put_back(&mut self, octets: &[u8]) {
        self.input.splice(..0, octets.iter().copied());
    }

    /// Writes what was said.
    pub(in crate::practice) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.shared.pause(self.shared.switches.knobs().smtp_latency).await;
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.stream.flush().await
    }

    /// Writes what was said and ends the connection in order.
    pub(in crate::practice) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }

    /// The same connection inside TLS.
    pub(in crate::practice) async fn secure(mut self, tls: &TlsAcceptor) -> io::Result<Self> {
        self.flush().await?;
        let stream = tls.accept(self.stream).await?;
        Ok(Self { stream: Box::new(stream), input: Vec::new(), output: Vec::new(), shared: self.shared })
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.input.reserve(READ);
        let reading = self.stream.read_buf(&mut self.input);
        let read = self.shared.stopping.run_until_cancelled(reading).await;
        match read.unwrap_or(Ok(0))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn check_line(mut line: Vec<u8>, longest: usize) -> Result<String, BadLine> {
    if line.len() > longest {
        return Err(BadLine::TooLong);
    }
    line.pop();
    if line.pop() != Some(b'\r') || line.contains(&b'\r') {
        return Err(BadLine::BareLineEnd);
    }
    String::from_utf8(line).map_err(|_| BadLine::NotText)
}
