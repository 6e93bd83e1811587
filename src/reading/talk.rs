//! Commands of our own to an IMAP server that let us in, one after the other.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::back::BackTrouble;
use super::classify;
use crate::imap::answers::{Answer, Answers, Status};
use crate::mail::failure::one_line;
use crate::mail::{Failure, Reason};

/// Octets read at once.
const READ: usize = 16 * 1024;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection to an IMAP server that let us in.
pub struct Talk<S> {
    stream: S,
    answers: Answers,
    commands: u32,
    /// For each command, from its start to the end of its answer.
    limit: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// `unread` is what the server sent behind its yes; no answer brings a body of more than `max_body` octets.
    pub fn new(stream: S, unread: &[u8], max_body: usize, limit: Duration) -> Self {
        let mut answers = Answers::new(max_body);
        answers.receive(unread);
        Self { stream, answers, commands: 0, limit }
    }

    /// Asks, and shows each answer before the last to `each`.
    ///
    /// # Errors
    /// The server said no, or nothing that helps; the connection is of no use then, unless it was a no.
    pub async fn ask(&mut self, command: &str, each: impl FnMut(Answer) + Send) -> Result<(), Failure>
    where
        S: Send,
    {
        let limit = self.limit;
        let late = |_| Failure::new(Reason::TimedOut, format!("no answer within {} s", limit.as_secs_f32()));
        timeout(limit, self.exchange(command, each)).await.map_err(late)?
    }

    /// Says goodbye. The server may hang up first, and what was asked is known.
    pub async fn leave(mut self) {
        let goodbye = async {
            self.stream.write_all(b"ox LOGOUT\r\n").await?;
            self.stream.shutdown().await
        };
        let _best_effort = timeout(GOODBYE, goodbye).await;
    }

    async fn exchange(&mut self, command: &str, mut each: impl FnMut(Answer)) -> Result<(), Failure> {
        self.commands += 1;
        let tag = format!("ox{}", self.commands);
        self.stream.write_all(format!("{tag} {command}\r\n").as_bytes()).await.map_err(|error| broken(&error))?;
        self.stream.flush().await.map_err(|error| broken(&error))?;
        let mut buffer = vec![0; READ];
        loop {
            while let Some(answer) = self.answers.take().map_err(|error| broken(&error))? {
                match answer.outcome(&tag) {
                    None => each(answer),
                    Some((Status::Ok, _)) => return Ok(()),
                    Some((_, words)) => return Err(refused(&words)),
                }
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(broken(&"the server closed it")),
                Ok(count) => self.answers.receive(&buffer[..count]),
                Err(error) => return Err(broken(&error)),
            }
        }
    }
}

/// The connection cannot go on.
pub(super) fn broken(why: &impl std::fmt::Display) -> Failure {
    Failure::new(Reason::ProviderTrouble, format!("the connection broke after the login: {why}"))
}

/// What a server refuses after the login: Exchange says of some mailboxes only now that they cannot be used.
pub(super) fn refused(words: &str) -> Failure {
    let words = classify::clean(&one_line(words), &[]);
    classify::of_trouble(&BackTrouble { words, to_login: false, challenge: None })
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// What comes of a command that a server answers like this, and the answers that were shown.
    async fn asked(answer: &[u8]) -> (Result<(), Failure>, Vec<String>) {
        let (ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut talk = Talk::new(ours, b"* 1 RECENT\r\n", 10, Duration::from_secs(5));
        let mut shown = Vec::new();
        let outcome = talk.ask("NOOP", |answer| shown.push(answer.text)).await;
        (outcome, shown)
    }

    #[tokio::test]
    async fn a_command_ends_with_the_answer_to_it() {
        let (outcome, shown) = asked(b"* 2 EXISTS\r\nox1 OK done\r\n* 3 EXISTS\r\n").await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(shown, ["* 1 RECENT", "* 2 EXISTS"]);
    }

    #[tokio::test]
    async fn trouble_is_told_in_the_words_of_the_server() {
        let table: [(&[u8], Reason, &str); 6] = [
            (b"ox1 NO [NOPERM] not yours\r\n", Reason::PermissionMissing, "not yours"),
            (b"ox1 BAD what?\r\n", Reason::ProviderTrouble, "what?"),
            (b"ox1 BAD User is authenticated but not connected.\r\n", Reason::MailboxUnavailable, "not connected"),
            (b"* BYE going down\r\n", Reason::ProviderTrouble, "going down"),
            (b"* 2 EXISTS\r\n", Reason::ProviderTrouble, "the server closed it"),
            (b"* 1 FETCH (BODY[]<0> {11}\r\n", Reason::ProviderTrouble, "longer than what it was asked for"),
        ];
        for (answer, reason, words) in table {
            let failure = asked(answer).await.0.unwrap_err();
            assert!(failure.reason == reason && failure.to_string().contains(words), "{failure:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_left() {
        let (ours, _theirs) = duplex(64);
        let mut talk = Talk::new(ours, b"", 10, Duration::from_millis(20));
        let failure = talk.ask("NOOP", |_| ()).await.unwrap_err();
        assert_eq!((failure.reason, failure.diagnostic.as_str()), (Reason::TimedOut, "no answer within 0.02 s"));
    }
}
