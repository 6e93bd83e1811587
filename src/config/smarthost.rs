//! `[smarthost]`: an ordinary mail server, as a way out of any account.

use super::fault::KeyPath;
use super::file::SmarthostTls;
use super::reader::Reader;
use crate::delivery::{SmtpLogin, SmtpTls};
use crate::front::SubmissionSettings;

/// The server, with how one logs in there.
#[derive(Clone, Debug)]
pub(super) struct Smarthost {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: SmtpTls,
    pub(super) login: SmtpLogin,
    /// Whether it offers DSN.
    pub(super) dsn: bool,
}

/// Reads it; `None` if there is none, or if it has a fault.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Smarthost> {
    let (typed, at) = (&reader.file.smarthost, KeyPath::root().key("smarthost"));
    let login = match (&typed.login, &typed.password) {
        (None, None) => SmtpLogin::Nobody,
        (Some(login), Some(source)) => {
            let password = reader.secret(&at.key("password"), source)?;
            if login.is_empty() || login.chars().any(char::is_control) || password.expose().contains('\0') {
                let remedy = "write the login as the server knows it, such as `relay@contoso.com`";
                reader.fault(at.key("login"), "login and password cannot be sent by AUTH PLAIN", remedy);
                return None;
            }
            SmtpLogin::Password { login: login.clone(), password }
        }
        (Some(_), None) => {
            let remedy = "add `password = { env = \"NAME\" }` or `{ file = \"PATH\" }`";
            reader.fault(at.key("login"), "the login has no password", remedy);
            return None;
        }
        (None, Some(_)) => {
            reader.fault(at.key("password"), "the password has no login", "add `login = \"NAME\"`");
            return None;
        }
    };
    let Some(host) = &typed.host else {
        if typed.login.is_some() {
            reader.fault(at.key("host"), "this key is missing", "write the name of the server");
        }
        return None;
    };
    let host = super::providers::host_name(reader, at.key("host"), host, "port")?;
    let tls = match typed.tls {
        Some(SmarthostTls::StartTls) => SmtpTls::StartTls,
        Some(SmarthostTls::Implicit) => SmtpTls::Implicit,
        Some(SmarthostTls::None) => SmtpTls::Never,
        None if typed.port == 465 => SmtpTls::Implicit,
        None => SmtpTls::StartTls,
    };
    if tls == SmtpTls::Never && login != SmtpLogin::Nobody {
        let remedy = "write `tls = \"starttls\"` or `\"implicit\"`, or take `login` and `password` out";
        reader.fault(at.key("tls"), "the password would be sent in clear text", remedy);
        return None;
    }
    Some(Smarthost { host, port: typed.port, tls, login, dsn: typed.dsn })
}

/// Refuses a smarthost that is this gateway (promise 7 of the design).
pub(super) fn refuse_circle(reader: &mut Reader<'_>, submission: &SubmissionSettings) {
    let typed = &reader.file.smarthost;
    let Some(host) = &typed.host else { return };
    if super::listeners::leads_here(submission, host, typed.port) {
        let cause = format!("port {} of `{host}` is a listener of this gateway: mail would go in circles", typed.port);
        reader.fault(KeyPath::root().key("smarthost").key("host"), cause, "write the name of another server");
    }
}
