//! Mix-ups that hide behind a provider's general words. Where nothing here fits, the failure's own hint serves.

use super::claims::Claims;

/// What is known where a failure was met.
pub(super) struct Scene<'a> {
    /// The account's name.
    pub(super) account: &'a str,
    /// The mailbox that was tried.
    pub(super) mailbox: &'a str,
    /// Whether the account is the app itself.
    pub(super) app_only: bool,
    /// What the token says of itself.
    pub(super) claims: Option<&'a Claims>,
}

/// How Exchange refuses a token by IMAP and by POP3, in lower case.
const REFUSED_READER: [&str; 2] = ["authenticate failed", "authentication failure: unknown user name or bad password"];

/// The next step after these words of a provider, if they are a known mix-up.
pub(super) fn remedy(words: &str, scene: &Scene<'_>) -> Option<String> {
    let says = |text: &str| words.to_ascii_lowercase().contains(text);
    let Scene { account, mailbox, .. } = scene;
    Some(match () {
        () if says("5.7.139") && says("for the mailbox") => format!(
            "SMTP AUTH is off for this mailbox: Set-CASMailbox {mailbox} -SmtpClientAuthenticationDisabled $false; or let \
             `send` of account `{account}` be [\"graph\"]"
        ),
        () if says("5.7.139") => format!(
            "SMTP AUTH is off in the tenant: Set-CASMailbox {mailbox} -SmtpClientAuthenticationDisabled $false switches it on \
             for this mailbox alone; or let `send` of account `{account}` be [\"graph\"]"
        ),
        () if says("authenticated but not connected") && scene.app_only => format!(
            "the app was let in, and has no right to the mailbox: Add-MailboxPermission -Identity {mailbox} -User \
             <service principal> -AccessRights FullAccess"
        ),
        () if says("authenticated but not connected") => format!(
            "who signed in has no right to `{mailbox}`, or it has no licence: sign in as the mailbox with `oxpost login {account}`, or \
             grant full access to it"
        ),
        () if REFUSED_READER.iter().any(|words| says(words)) && scene.app_only => service_principal(scene),
        () if REFUSED_READER.iter().any(|words| says(words)) => format!(
            "sign in as `{mailbox}` itself or as somebody with full access to it (`oxpost login {account}`), and check that it may be \
             read this way: Get-CASMailbox {mailbox} | Format-List ImapEnabled,PopEnabled"
        ),
        () if says("535 5.7.3") && scene.app_only => service_principal(scene),
        () if says("535 5.7.3") => format!(
            "sign in as `{mailbox}` itself (`oxpost login {account}`), and check that the mailbox may use SMTP AUTH: \
             Get-CASMailbox {mailbox} | Format-List SmtpClientAuthenticationDisabled"
        ),
        () => return None,
    })
}

/// The commands with the right ids in them. The wrong one of two object ids is the usual mistake, and the token has the
/// right one.
fn service_principal(scene: &Scene<'_>) -> String {
    let app = scene.claims.and_then(Claims::client_id).unwrap_or("<application (client) id>");
    let object = scene.claims.and_then(|claims| claims.oid.as_deref());
    let object = object.unwrap_or("<object id of the Enterprise application>");
    let mailbox = scene.mailbox;
    format!(
        "Exchange does not know the app, or not by this object id (it is that of the *Enterprise application*, not of the \
         app registration): New-ServicePrincipal -AppId {app} -ObjectId {object}\n\
         then let it use the mailbox: Add-MailboxPermission -Identity {mailbox} -User {object} -AccessRights FullAccess"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mix_ups_are_recognised() {
        let claims = Claims { oid: Some("enterprise-1".into()), appid: Some("app-1".into()), ..Claims::default() };
        let person = Scene { account: "scanner", mailbox: "s@contoso.com", app_only: false, claims: None };
        let app = Scene { app_only: true, claims: Some(&claims), ..person };
        let app_unread = Scene { claims: None, ..app };
        let table = [
            ("535 5.7.139 SmtpClientAuthentication is disabled for the Tenant.", &person, "in the tenant"),
            ("535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox.", &person, "for this mailbox:"),
            ("NO User is authenticated but not connected.", &app, "Add-MailboxPermission -Identity s@contoso.com"),
            ("NO User is authenticated but not connected.", &person, "oxpost login scanner"),
            ("535 5.7.3 Authentication unsuccessful", &person, "sign in as `s@contoso.com` itself"),
            ("535 5.7.3 Authentication unsuccessful", &app, "-AppId app-1 -ObjectId enterprise-1"),
            ("535 5.7.3 Authentication unsuccessful", &app_unread, "<object id of the Enterprise application>"),
        ];
        for (words, scene, expected) in table {
            let remedy = remedy(words, scene).unwrap_or_default();
            assert!(remedy.contains(expected), "{words}: {remedy}");
        }
        for words in ["550 5.7.1 something else", "AADSTS7000215: Invalid client secret provided."] {
            assert_eq!(remedy(words, &person), None, "the token manager explains its own");
        }
    }
}
