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
/// Octets of all answers to one command, beside the body.
const MAX_TALK: usize = 4 * 1024 * 1024;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a command brought nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unanswered {
    /// The server said no; it may say yes to another command.
    Refused(Failure),
    /// The connection is of no use any more.
    Broken(Failure),
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Refused(failure) | Unanswered::Broken(failure) => failure,
        }
    }
}

/// A connection to an IMAP server that let us in.
pub struct Talk<S> {
    stream: S,
    answers: Answers,
    commands: u32,
    max_body: usize,
    /// For each command, from its start to the end of its answer.
    limit: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// `unread` is what the server sent behind its yes; no answer brings a body of more than `max_body` octets.
    pub fn new(stream: S, unread: &[u8], max_body: usize, limit: Duration) -> Self {
        let mut answers = Answers::new(max_body);
        answers.receive(unread);
        Self { stream, answers, commands: 0, max_body, limit }
    }

    /// Asks, and shows each answer before the last to `each`.
    ///
    /// # Errors
    /// The server said no, or nothing that helps.
    pub async fn ask(&mut self, command: &str, each: impl FnMut(Answer) + Send) -> Result<(), Unanswered>
    where
        S: Send,
    {
        let limit = self.limit;
        match timeout(limit, self.exchange(command, each)).await {
            Ok(answered) => answered,
            Err(_) => {
                let name = command.split(' ').take_while(|word| !word.contains(|c: char| !c.is_ascii_uppercase()));
                let name = name.take(2).collect::<Vec<_>>().join(" ");
                let words = format!("no answer to {name} within {} s", limit.as_secs_f32());
                Err(Unanswered::Broken(Failure::new(Reason::TimedOut, words)))
            }
        }
    }

    /// Says goodbye. The server may hang up first, and what was asked is known.
    pub async fn leave(mut self) {
        let goodbye = async {
            self.stream.write_all(b"ox LOGOUT\r\n").await?;
            self.stream.shutdown().await
        };
        let _best_effort = timeout(GOODBYE, goodbye).await;
    }

    async fn exchange(&mut self, command: &str, mut each: impl FnMut(Answer)) -> Result<(), Unanswered> {
        self.commands += 1;
        let tag = format!("ox{}", self.commands);
        self.stream.write_all(format!("{tag} {command}\r\n").as_bytes()).await.map_err(|error| lost(&error))?;
        self.stream.flush().await.map_err(|error| lost(&error))?;
        let (mut buffer, mut talk) = (vec![0; READ], 0);
        loop {
            while let Some(answer) = self.answers.take().map_err(|error| lost(&error))? {
                match answer.outcome(&tag) {
                    None => each(answer),
                    Some((Status::Ok, _)) => return Ok(()),
                    Some((Status::No | Status::Bad, words)) => return Err(Unanswered::Refused(refused(&words))),
                    Some((Status::Bye | Status::PreAuth, words)) => return Err(Unanswered::Broken(refused(&words))),
                }
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(lost(&"the server closed it")),
                Ok(_) if talk > MAX_TALK + self.max_body => return Err(lost(&"the server talks without end")),
                Ok(count) => {
                    talk += count;
                    self.answers.receive(&buffer[..count]);
                }
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}

fn lost(why: &impl std::fmt::Display) -> Unanswered {
    Unanswered::Broken(broken(why))
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
    async fn asked(answer: &[u8]) -> (Result<(), Unanswered>, Vec<String>) {
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
            let unanswered = asked(answer).await.0.unwrap_err();
            let says_no = answer.starts_with(b"ox1 ");
            assert_eq!(matches!(unanswered, Unanswered::Refused(_)), says_no, "{unanswered:?}");
            let failure = Failure::from(unanswered);
            assert!(failure.reason == reason && failure.to_string().contains(words), "{failure:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_left() {
        let (ours, _theirs) = duplex(64);
        let mut talk = Talk::new(ours, b"", 10, Duration::from_millis(20));
        let failure = Failure::from(talk.ask("UID FETCH 7 (BODY.PEEK[])", |_| ()).await.unwrap_err());
        assert_eq!(failure.reason, Reason::TimedOut);
        assert_eq!(failure.diagnostic, "no answer to UID FETCH within 0.02 s");
    }

    #[tokio::test]
    async fn a_server_that_talks_on_and_on_is_left() {
        let (ours, mut theirs) = duplex(64 * 1024);
        let lines = "* SEARCH 1 1 1 1 1 1 1\r\n".repeat(1_000);
        let talking = tokio::spawn(async move { while theirs.write_all(lines.as_bytes()).await.is_ok() {} });
        let mut talk = Talk::new(ours, b"", 10, Duration::from_secs(60));
        let failure = Failure::from(talk.ask("UID SEARCH ALL", |_| ()).await.unwrap_err());
        assert!(failure.to_string().contains("talks without end"), "{failure}");
        drop(talk);
        talking.await.unwrap();
    }
}
