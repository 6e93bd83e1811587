//! AUTH: XOAUTH2, and nothing else.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::directory::{User, same};
use super::super::faults::{AuthFault, Fault};
use super::super::ledger::{Bad, Holder};
use super::super::post_office::Place;
use super::super::scope::Resource;
use super::super::shared::{Pass, Shared};
use super::super::switches::FailedAuth;
use super::session::{Flow, LONGEST_AUTH, Session};
use super::xoauth2::{self, Claim};

const UNSUCCESSFUL: &str = "535 5.7.3 Authentication unsuccessful [localhost]";
const TOO_MANY: &str =
    "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending [localhost]";

/// Who signed in.
pub(super) struct Login {
    /// An address, or a client id.
    pub(super) signed_in: String,
    /// Whose mail is sent.
    pub(super) mailbox: User,
    /// Holds one of the mailbox's sessions.
    _pass: Pass<String>,
}

/// A refusal, as the client sees it and as the findings name it.
enum Refusal {
    /// The ordinary one: Microsoft does not say why.
    Unsuccessful(String),
    /// In other words; the session goes on.
    Saying(&'static str, String),
    /// Too many sessions; the connection closes.
    TooMany(String),
    /// On purpose.
    Fault(AuthFault),
}

impl Session {
    /// AUTH with or without an initial response (RFC 4954 section 4).
    pub(super) async fn auth(&mut self, mechanism: &str, initial: Option<String>) -> io::Result<Flow> {
        if !self.secured {
            return self.object("504 5.7.4 Unrecognized authentication type", "AUTH without TLS");
        }
        if !self.greeted || self.login.is_some() || self.transaction.is_some() {
            return self
                .object("503 5.5.1 Bad sequence of commands", "AUTH before EHLO, twice, or inside a transaction");
        }
        match mechanism {
            "XOAUTH2" => {}
            "LOGIN" => {
                let reply = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [localhost]";
                return self.object(reply, "AUTH LOGIN: passwords are over");
            }
            _ => return self.object("504 5.7.4 Unrecognized authentication type", "an unknown mechanism"),
        }
        let response = match initial {
            Some(response) => response,
            None => {
                self.connection.say("334 ");
                self.connection.line(LONGEST_AUTH).await?.unwrap_or_default()
            }
        };
        match judge(&self.shared, &response) {
            Ok(login) => {
                self.login = Some(login);
                self.reply("235 2.7.0 Authentication successful")
            }
            Err(refusal) => self.refuse_login(refusal).await,
        }
    }

    async fn refuse_login(&mut self, refusal: Refusal) -> io::Result<Flow> {
        match refusal {
            Refusal::Unsuccessful(why) => {
                if self.shared.switches.knobs().failed_auth == FailedAuth::Challenge {
                    self.challenge().await?;
                }
                self.object(UNSUCCESSFUL, &why)
            }
            Refusal::Saying(reply, why) => self.object(reply, &why),
            Refusal::TooMany(why) => {
                self.object(TOO_MANY, &why)?;
                Ok(Flow::Close)
            }
            Refusal::Fault(fault) => match fault {
                AuthFault::Refused => self.reply(UNSUCCESSFUL),
                AuthFault::RefusedAfterChallenge => {
                    self.challenge().await?;
                    self.connection.say("535-5.7.8 Username and Password not accepted. For more information, go to");
                    self.reply("535 5.7.8  https://support.google.com/mail/?p=BadCredentials practice - gsmtp")
                }
                AuthFault::SwitchedOff => self.reply(
                    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
                     Visit https://aka.ms/smtp_auth_disabled for more information. [localhost]",
                ),
                AuthFault::Temporary => self.reply("454 4.7.0 Temporary authentication failure"),
                AuthFault::TooManySessions => {
                    self.connection.say(TOO_MANY);
                    Ok(Flow::Close)
                }
            },
        }
    }

    /// The reason in JSON, to be answered by an empty line (Google, "OAuth 2.0 Mechanism").
    async fn challenge(&mut self) -> io::Result<()> {
        let json = r#"{"status":"401","schemes":"Bearer","scope":"https://outlook.office.com/SMTP.Send"}"#;
        self.connection.say(&format!("334 {}", STANDARD.encode(json)));
        let answer = self.connection.line(LONGEST_AUTH).await?;
        if answer.as_deref() != Ok("") {
            self.shared.note(Place::Smtp, "a 334 challenge was answered by something else than an empty line");
        }
        Ok(())
    }
}

/// Whether this response lets the client in.
fn judge(shared: &Shared, response: &str) -> Result<Login, Refusal> {
    let unsuccessful = |why: String| Refusal::Unsuccessful(why);
    let Claim { mailbox, token } = xoauth2::decode(response).map_err(|bad| unsuccessful(bad.to_string()))?;
    let access = shared.access(&token).map_err(|bad| {
        unsuccessful(match bad {
            Bad::Expired => format!("the access token for `{mailbox}` has expired"),
            Bad::Unknown | Bad::Used | Bad::Revoked => format!("the access token for `{mailbox}` is not one of ours"),
        })
    })?;
    if access.audience != Resource::Exchange {
        return Err(unsuccessful("the access token is for Graph, not for Exchange".into()));
    }
    let role = if access.holder == Holder::App { "SMTP.SendAsApp" } else { "SMTP.Send" };
    if !access.may(&[role]) {
        return Err(unsuccessful(format!("the access token does not carry `{role}`")));
    }
    let user = shared.directory.user(&mailbox).filter(|user| same(&user.address, &mailbox));
    let user = user.ok_or_else(|| unsuccessful(format!("there is no mailbox `{mailbox}`")))?;
    let allowed = match &access.holder {
        Holder::App => true,
        Holder::User(signed_in) => {
            let signed_in = shared.directory.user(signed_in);
            signed_in.is_some_and(|signed_in| signed_in.may_send_as(&user.address))
        }
    };
    if !allowed {
        return Err(unsuccessful(format!("`user={mailbox}` is not the account of the token, `{}`", access.who())));
    }
    if !user.smtp_auth {
        let reply = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. \
                     Visit https://aka.ms/smtp_auth_disabled for more information. [localhost]";
        return Err(Refusal::Saying(reply, format!("SMTP AUTH is switched off for `{mailbox}`")));
    }
    let fault = shared.switches.take(Some(&user.address), Fault::of_auth);
    if let Some(fault) = fault {
        return Err(Refusal::Fault(fault));
    }
    let limit = shared.switches.knobs().smtp_sessions;
    let pass = shared.smtp_gate.enter(user.address.to_ascii_lowercase(), limit);
    let pass = pass.ok_or_else(|| Refusal::TooMany(format!("more than {limit} sessions of `{mailbox}` at once")))?;
    Ok(Login { signed_in: access.who().to_owned(), mailbox: user.clone(), _pass: pass })
}
