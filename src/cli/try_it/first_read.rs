//! Reads back what arrived, as an old mail program would.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::house::{PASSWORD, READER_ADDRESS};
use crate::cli::Report;

/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches every message in clear IMAP, and says how many there were.
pub(super) async fn read(gateway: SocketAddr) -> Result<usize, Report> {
    let dialogue = async {
        let mut client = BufReader::new(TcpStream::connect(gateway).await?);
        let mut heard = Vec::new();
        let mut greeting = String::new();
        client.read_line(&mut greeting).await?;
        let login = format!("LOGIN {READER_ADDRESS} {PASSWORD}");
        for (number, command) in [login.as_str(), "SELECT INBOX", "FETCH 1:* BODY.PEEK[]", "LOGOUT"].iter().enumerate()
        {
            client.write_all(format!("a{number} {command}\r\n").as_bytes()).await?;
            if let Err(refusal) = answer(&mut client, &format!("a{number} "), &mut heard).await? {
                return Ok(Err(refusal));
            }
        }
        Ok::<_, std::io::Error>(Ok(heard.iter().filter(|line| line.contains(" FETCH (")).count()))
    };
    match timeout(PATIENCE, dialogue).await {
        Ok(Ok(Ok(0))) => Err(Report::new("the mailbox is empty though mail arrived in it")),
        Ok(Ok(Ok(count))) => Ok(count),
        Ok(Ok(Err(refusal))) => Err(Report::new(format!("the gateway refused to read: {refusal}"))),
        Ok(Err(error)) => Err(Report::new(format!("reading through the gateway: {error}"))),
        Err(_) => Err(Report::new("the gateway did not answer in time")),
    }
}

/// Lines up to the tagged one; `Err` if that is no OK.
async fn answer(
    client: &mut BufReader<TcpStream>,
    tag: &str,
    heard: &mut Vec<String>,
) -> std::io::Result<Result<(), String>> {
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(status) = line.strip_prefix(tag) {
            let status = status.trim_end().to_owned();
            return Ok(if status.starts_with("OK") { Ok(()) } else { Err(status) });
        }
        heard.push(line);
    }
}
