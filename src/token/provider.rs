//! What differs from provider to provider: the scopes to ask for, the extra parameters of the authorization request,
//! and how to read the scopes of an answer.

use url::Url;

use super::settings::{Grant, Provider, ProviderKind, Purpose};

/// Scopes that open no resource (OpenID Connect Core section 5.4; section 11 for `offline_access`).
const OPENID: [&str; 5] = ["openid", "profile", "email", "offline_access", "address"];
/// What Microsoft must be asked for beside the resource: without `offline_access` there is no refresh token.
const MICROSOFT_EXTRA: [&str; 3] = ["offline_access", "openid", "profile"];
/// Google says with them who signed in; a refresh token depends on `access_type` instead.
const GOOGLE_EXTRA: [&str; 2] = ["openid", "email"];
/// The one scope with which Google's SMTP, IMAP and POP3 work.
const GOOGLE_MAIL: &str = "https://mail.google.com/";
/// Two names of Exchange Online: scopes of one are the other's too.
const EXCHANGE_HOSTS: [&str; 2] = ["outlook.office.com", "outlook.office365.com"];

/// What one access token opens: the scopes it is asked for with. Two purposes with the same scopes share a token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Resource(Vec<String>);

impl Resource {
    /// The resource that serves `purpose`.
    pub(super) fn of(provider: &Provider, grant: &Grant, purpose: Purpose) -> Self {
        if let Some(scopes) = &provider.scopes {
            return Self(scopes.clone());
        }
        let app_only = matches!(grant, Grant::ClientCredentials);
        let scope = match (provider.kind, purpose, app_only) {
            (ProviderKind::Google, _, _) => GOOGLE_MAIL.to_owned(),
            (ProviderKind::Microsoft, Purpose::Graph, true) => format!("{}/.default", provider.graph_resource),
            (ProviderKind::Microsoft, Purpose::Graph, false) => format!("{}/Mail.Send", provider.graph_resource),
            (ProviderKind::Microsoft, Purpose::Smtp, true) => format!("{}/.default", provider.exchange_app_resource),
            (ProviderKind::Microsoft, Purpose::Smtp, false) => format!("{}/SMTP.Send", provider.exchange_resource),
            (ProviderKind::Custom, _, _) => return Self(Vec::new()),
        };
        Self(vec![scope])
    }

    /// The scopes of the token request. Microsoft must be asked for `offline_access` each time to keep the refresh
    /// token rotating, and only for one resource. Elsewhere a grant opens one resource, and nothing is asked for: what
    /// was granted may be less than what the sign-in asked for, and a renewal must not ask for more (RFC 6749 section 6).
    pub(super) fn request(&self, provider: &Provider, grant: &Grant) -> Vec<String> {
        let mut scopes = self.0.clone();
        match (provider.kind, grant) {
            (_, Grant::ClientCredentials) => {}
            (ProviderKind::Microsoft, _) => extend(&mut scopes, &MICROSOFT_EXTRA),
            (ProviderKind::Google | ProviderKind::Custom, _) => scopes.clear(),
        }
        scopes
    }

    /// The first scope that was asked for and is not in the answer (RFC 6749 section 5.1: none given, all granted).
    pub(super) fn missing_from(&self, answered: &[String]) -> Option<&str> {
        let asked = self.0.iter().filter(|scope| !OPENID.contains(&scope.as_str()) && !scope.ends_with("/.default"));
        asked.map(String::as_str).find(|asked| !answered.iter().any(|answer| same_scope(asked, answer)))
    }
}

/// The scopes, without those of OpenID Connect.
impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scopes: Vec<_> = self.0.iter().map(String::as_str).filter(|scope| !OPENID.contains(scope)).collect();
        f.write_str(if scopes.is_empty() { "default" } else { "" })?;
        f.write_str(&scopes.join(" "))
    }
}

/// The scopes of the authorization request: those of all purposes, so that one sign-in serves them all.
pub(super) fn authorization_scopes(provider: &Provider, grant: &Grant, purposes: &[Purpose]) -> Vec<String> {
    let mut scopes = Vec::new();
    for purpose in purposes {
        extend(&mut scopes, &Resource::of(provider, grant, *purpose).0);
    }
    match provider.kind {
        ProviderKind::Microsoft => extend(&mut scopes, &MICROSOFT_EXTRA),
        ProviderKind::Google => extend(&mut scopes, &GOOGLE_EXTRA),
        ProviderKind::Custom => {}
    }
    scopes
}

/// Parameters of the authorization request beside those of RFC 6749.
pub(super) const fn authorization_extras(kind: ProviderKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        // Only a consent gives a refresh token; without `prompt` a second sign-in would give none.
        ProviderKind::Google => &[("access_type", "offline"), ("prompt", "consent")],
        ProviderKind::Microsoft | ProviderKind::Custom => &[],
    }
}

/// `host` or `host:port` of a token or authorization endpoint: who gets the secrets.
pub(super) fn server(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn extend<S: AsRef<str>>(scopes: &mut Vec<String>, more: &[S]) {
    for scope in more {
        if !scopes.iter().any(|known| known == scope.as_ref()) {
            scopes.push(scope.as_ref().to_owned());
        }
    }
}

/// Microsoft answers in another case, with the other name of Exchange, or without the prefix of Graph. The permission
/// and the resource must be the same all the same.
fn same_scope(asked: &str, answered: &str) -> bool {
    if asked.eq_ignore_ascii_case(answered) {
        return true;
    }
    let (Some((resource, permission)), answered) = (split(asked), split(answered).unwrap_or(("", answered))) else {
        return false;
    };
    permission.eq_ignore_ascii_case(answered.1) && same_resource(resource, answered.0)
}

/// `https://host` and the permission, for scopes of that form.
fn split(scope: &str) -> Option<(&str, &str)> {
    let (resource, permission) = scope.rsplit_once('/')?;
    (resource.contains("://") && !permission.is_empty()).then_some((resource, permission))
}

fn same_resource(asked: &str, answered: &str) -> bool {
    let host = |resource: &str| resource.split_once("://").map(|(_, host)| host.to_ascii_lowercase());
    match (host(asked), host(answered)) {
        (Some(asked), Some(answered)) => {
            let exchange = |host: &String| EXCHANGE_HOSTS.contains(&host.as_str());
            asked == answered || (exchange(&asked) && exchange(&answered))
        }
        // A scope without a resource is one of Graph.
        (Some(asked), None) => asked.contains("graph"),
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{google, microsoft};
    use super::*;

    #[test]
    fn each_purpose_asks_for_its_own_resource() {
        let microsoft = microsoft("https://login.example/token");
        let google = google("https://login.example/token");
        let own_scopes = Provider { scopes: Some(vec!["mail".into()]), ..microsoft.clone() };
        let custom = Provider { kind: ProviderKind::Custom, ..own_scopes.clone() };
        let (user, app) = (Grant::AuthorizationCode, Grant::ClientCredentials);
        let extra = "offline_access openid profile";
        let table = [
            (&microsoft, &user, Purpose::Graph, format!("https://graph.microsoft.com/Mail.Send {extra}")),
            (&microsoft, &user, Purpose::Smtp, format!("https://outlook.office.com/SMTP.Send {extra}")),
            (&microsoft, &app, Purpose::Graph, "https://graph.microsoft.com/.default".into()),
            (&microsoft, &app, Purpose::Smtp, "https://outlook.office365.com/.default".into()),
            (&google, &user, Purpose::Smtp, String::new()),
            (&custom, &user, Purpose::Smtp, String::new()),
            (&custom, &app, Purpose::Smtp, "mail".into()),
            (&own_scopes, &user, Purpose::Smtp, format!("mail {extra}")),
        ];
        for (provider, grant, purpose, scopes) in table {
            let asked = Resource::of(provider, grant, purpose).request(provider, grant).join(" ");
            assert_eq!(asked, scopes, "{:?} {grant:?} {purpose:?}", provider.kind);
        }
        assert_eq!(
            authorization_scopes(&microsoft, &user, &[Purpose::Graph, Purpose::Smtp]).join(" "),
            format!("https://graph.microsoft.com/Mail.Send https://outlook.office.com/SMTP.Send {extra}"),
        );
    }

    #[test]
    fn a_scope_that_was_not_granted_is_noticed() {
        let table = [
            ("https://outlook.office.com/SMTP.Send", "https://outlook.office.com/SMTP.Send", true, "the same"),
            ("https://outlook.office.com/SMTP.Send", "openid https://OUTLOOK.office.com/smtp.send", true, "other case"),
            ("https://outlook.office.com/SMTP.Send", "https://outlook.office365.com/SMTP.Send", true, "other name"),
            ("https://graph.microsoft.com/Mail.Send", "Mail.Send User.Read", true, "Graph without its prefix"),
            ("https://outlook.office.com/SMTP.Send", "User.ReadBasic.All", false, "a token of Graph (1.6)"),
            ("https://outlook.office.com/SMTP.Send", "SMTP.Send", false, "a permission of Graph by that name"),
            (
                "https://graph.microsoft.com/Mail.Send",
                "https://outlook.office.com/Mail.Send",
                false,
                "another resource",
            ),
            ("https://graph.microsoft.com/Mail.Send", "", false, "nothing granted"),
            ("https://outlook.office365.com/.default", "whatever", true, "an app gets what it was given"),
            ("https://mail.google.com/", "openid https://mail.google.com/", true, "Google"),
            ("https://mail.google.com/", "openid", false, "the box was not ticked"),
            ("mail offline_access", "mail", true, "scopes of OpenID Connect open nothing"),
            ("mail calendar", "mail", false, "one of two"),
        ];
        for (asked, answered, granted, why) in table {
            let resource = Resource(asked.split(' ').map(str::to_owned).collect());
            let answered: Vec<_> = answered.split_whitespace().map(str::to_owned).collect();
            assert_eq!(resource.missing_from(&answered).is_none(), granted, "{why}");
        }
    }
}
