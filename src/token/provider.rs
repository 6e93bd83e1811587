//! What differs from provider to provider: the scopes to ask for, the extra parameters of the authorization request,
//! and how to read the scopes of an answer.

use std::borrow::Cow;

use url::Url;

use super::settings::{AccountSettings, Grant, Provider, ProviderKind, Purpose};

/// Scopes that open no resource (OpenID Connect Core section 5.4; section 11 for `offline_access`).
const OPENID: [&str; 5] = ["openid", "profile", "email", "offline_access", "address"];
/// What Microsoft must be asked for beside the resource: without `offline_access` there is no refresh token.
const MICROSOFT_EXTRA: [&str; 3] = ["offline_access", "openid", "profile"];
/// Google says with them who signed in; a refresh token depends on `access_type` instead.
const GOOGLE_EXTRA: [&str; 2] = ["openid", "email"];
/// The one scope with which Google's SMTP, IMAP and POP3 work; the Gmail API takes it, too.
const GOOGLE_MAIL: &str = "https://mail.google.com/";
/// Enough for the Gmail API where nothing else is used.
const GOOGLE_SEND: &str = "https://www.googleapis.com/auth/gmail.send";
/// Two names of Exchange Online: scopes of one are the other's too.
const EXCHANGE_HOSTS: [&str; 2] = ["outlook.office.com", "outlook.office365.com"];

/// What one access token opens: the scopes it is asked for with. Two purposes with the same scopes share a token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Resource(Vec<String>);

impl Resource {
    /// The resource that serves `purpose`.
    pub(super) fn of(provider: &Provider, account: &AccountSettings, purpose: Purpose) -> Self {
        let computed = computed(provider, account, purpose);
        match &provider.scopes {
            Some(given) => Self(replaced(given, computed)),
            None => Self(computed),
        }
    }

    /// The scopes of the token request. Microsoft must be asked for `offline_access` each time to keep the refresh
    /// token rotating, and only for one resource. Elsewhere a grant opens one resource, and nothing is asked for: what
    /// was granted may be less than what the sign-in asked for, and a renewal must not ask for more (RFC 6749 section 6).
    pub(super) fn request(&self, provider: &Provider, grant: &Grant) -> Vec<String> {
        let mut scopes = self.0.clone();
        match (provider.kind, grant.is_app()) {
            (_, true) => {}
            (ProviderKind::Microsoft, false) => extend(&mut scopes, &MICROSOFT_EXTRA),
            (ProviderKind::Google | ProviderKind::Custom, false) => scopes.clear(),
        }
        scopes
    }

    /// The resource itself, without a permission: how a managed identity is asked for it.
    pub(super) fn identifier(&self) -> &str {
        let first = self.0.first().map(String::as_str).unwrap_or_default();
        first.strip_suffix("/.default").unwrap_or(first)
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

/// The scopes that follow from the purpose (`facts` of each provider: its documentation of scopes).
fn computed(provider: &Provider, account: &AccountSettings, purpose: Purpose) -> Vec<String> {
    match provider.kind {
        ProviderKind::Microsoft if account.grant.is_app() => {
            let host = match purpose {
                Purpose::Graph | Purpose::Directory | Purpose::Inbox => &provider.graph_resource,
                Purpose::Smtp | Purpose::Imap | Purpose::Pop | Purpose::Ews | Purpose::Gmail => {
                    &provider.exchange_app_resource
                }
            };
            vec![format!("{host}/.default")]
        }
        ProviderKind::Microsoft => delegated(provider, account, purpose),
        ProviderKind::Google => vec![google(account, purpose).to_owned()],
        ProviderKind::Custom => Vec::new(),
    }
}

fn delegated(provider: &Provider, account: &AccountSettings, purpose: Purpose) -> Vec<String> {
    let (graph, exchange) = (&provider.graph_resource, &provider.exchange_resource);
    match purpose {
        // Whoever signs in for another mailbox sends with a permission of its own.
        Purpose::Graph => {
            let names: &[&str] = match (account.signs_in_for_another(), account.drafts) {
                (true, true) => &["Mail.Send", "Mail.Send.Shared", "Mail.ReadWrite.Shared"],
                (true, false) => &["Mail.Send", "Mail.Send.Shared"],
                (false, true) => &["Mail.Send", "Mail.ReadWrite"],
                (false, false) => &["Mail.Send"],
            };
            names.iter().map(|name| format!("{graph}/{name}")).collect()
        }
        Purpose::Directory => vec![format!("{graph}/User.Read"), format!("{graph}/User.ReadBasic.All")],
        Purpose::Inbox if account.signs_in_for_another() => vec![format!("{graph}/Mail.Read.Shared")],
        Purpose::Inbox => vec![format!("{graph}/Mail.Read")],
        Purpose::Smtp => vec![format!("{exchange}/SMTP.Send")],
        Purpose::Imap => vec![format!("{exchange}/IMAP.AccessAsUser.All")],
        Purpose::Pop => vec![format!("{exchange}/POP.AccessAsUser.All")],
        Purpose::Ews => vec![format!("{}/EWS.AccessAsUser.All", provider.exchange_app_resource)],
        Purpose::Gmail => Vec::new(),
    }
}

/// The smaller scope only where it is enough for everything: one grant has one set of scopes. Looking for reports asks
/// for the great one on its own account: mail goes out without it.
fn google(account: &AccountSettings, purpose: Purpose) -> &'static str {
    let api_alone = account.purposes.iter().all(|other| matches!(other, Purpose::Gmail | Purpose::Inbox));
    if purpose == Purpose::Gmail && api_alone { GOOGLE_SEND } else { GOOGLE_MAIL }
}

/// Given scopes take the place of computed ones. If they name several resources, each replaces the computed ones of
/// its own resource alone.
fn replaced(given: &[String], computed: Vec<String>) -> Vec<String> {
    let opens: Vec<&String> = given.iter().filter(|scope| !OPENID.contains(&scope.as_str())).collect();
    let alike = |a: &str, b: &str| match (split(a), split(b)) {
        (Some((a, _)), Some((b, _))) => same_resource(a, b),
        (Some((resource, _)), None) | (None, Some((resource, _))) => is_graph(resource),
        (None, None) => true,
    };
    let several = opens.iter().any(|scope| opens.first().is_some_and(|first| !alike(scope, first)));
    let Some(wanted) = computed.first().filter(|_| several) else { return given.to_vec() };
    let own: Vec<String> = opens.into_iter().filter(|scope| alike(scope, wanted)).cloned().collect();
    if own.is_empty() { computed } else { own }
}

/// The scopes of the authorization request for these resources.
pub(super) fn authorization_scopes(provider: &Provider, resources: &[Resource]) -> Vec<String> {
    let mut scopes = Vec::new();
    for resource in resources {
        extend(&mut scopes, &resource.0);
    }
    match provider.kind {
        ProviderKind::Microsoft => extend(&mut scopes, &MICROSOFT_EXTRA),
        ProviderKind::Google => extend(&mut scopes, &GOOGLE_EXTRA),
        ProviderKind::Custom => {}
    }
    scopes
}

/// Parameters of the authorization request beside those of RFC 6749. What the configuration gives wins.
pub(super) fn authorization_extras<'a>(
    provider: &'a Provider,
    account: &'a AccountSettings,
) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let usual: &[(&str, &str)] = match provider.kind {
        // Only a consent gives a refresh token; without `prompt` a second sign-in would give none.
        ProviderKind::Google => &[("access_type", "offline"), ("prompt", "consent")],
        ProviderKind::Microsoft | ProviderKind::Custom => &[],
    };
    let hint = account.sign_in_as.as_deref().or(account.login_hint.as_deref());
    let usual = usual.iter().copied().chain(hint.map(|hint| ("login_hint", hint)));
    let given = &provider.authorize_parameters;
    let in_url = |name: &str| {
        let url = provider.authorize_url.as_ref();
        url.is_some_and(|url| url.query_pairs().any(|(known, _)| known == name))
    };
    let kept = usual.filter(|(name, _)| !given.contains_key(*name) && !in_url(name));
    let given = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    kept.chain(given).map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect()
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
    // Google's great scope holds the small one.
    if asked == GOOGLE_SEND && answered == GOOGLE_MAIL {
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
        (Some(asked), None) => is_graph(&asked),
        (None, _) => false,
    }
}

/// A scope without a resource is one of Graph.
fn is_graph(resource: &str) -> bool {
    resource.to_ascii_lowercase().contains("graph")
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{google, microsoft, scanner};
    use super::*;

    fn account(grant: &Grant, purposes: &[Purpose]) -> AccountSettings {
        AccountSettings { grant: grant.clone(), purposes: purposes.to_vec(), ..scanner(grant.clone()) }
    }

    #[test]
    fn each_purpose_asks_for_its_own_resource() {
        let microsoft = microsoft("https://login.example/token");
        let google = google("https://login.example/token");
        let own_scopes = Provider { scopes: Some(vec!["mail".into()]), ..microsoft.clone() };
        let custom = Provider { kind: ProviderKind::Custom, ..own_scopes.clone() };
        let (user, app) = (Grant::AuthorizationCode, Grant::ClientCredentials);
        let (identity, service) = (Grant::ManagedIdentity, Grant::ServiceAccount);
        let extra = "offline_access openid profile";
        let table = [
            (&microsoft, &user, Purpose::Graph, format!("https://graph.microsoft.com/Mail.Send {extra}")),
            (&microsoft, &user, Purpose::Smtp, format!("https://outlook.office.com/SMTP.Send {extra}")),
            (&microsoft, &user, Purpose::Imap, format!("https://outlook.office.com/IMAP.AccessAsUser.All {extra}")),
            (&microsoft, &user, Purpose::Pop, format!("https://outlook.office.com/POP.AccessAsUser.All {extra}")),
            (&microsoft, &user, Purpose::Ews, format!("https://outlook.office365.com/EWS.AccessAsUser.All {extra}")),
            (
                &microsoft,
                &user,
                Purpose::Directory,
                format!("https://graph.microsoft.com/User.Read https://graph.microsoft.com/User.ReadBasic.All {extra}"),
            ),
            (&microsoft, &app, Purpose::Graph, "https://graph.microsoft.com/.default".into()),
            (&microsoft, &app, Purpose::Directory, "https://graph.microsoft.com/.default".into()),
            (&microsoft, &identity, Purpose::Smtp, "https://outlook.office365.com/.default".into()),
            (&microsoft, &app, Purpose::Imap, "https://outlook.office365.com/.default".into()),
            (&google, &user, Purpose::Smtp, String::new()),
            (&google, &service, Purpose::Imap, "https://mail.google.com/".into()),
            (&custom, &user, Purpose::Smtp, String::new()),
            (&custom, &app, Purpose::Smtp, "mail".into()),
            (&own_scopes, &user, Purpose::Smtp, format!("mail {extra}")),
        ];
        for (provider, grant, purpose, scopes) in table {
            let asked = Resource::of(provider, &account(grant, &[purpose]), purpose).request(provider, grant).join(" ");
            assert_eq!(asked, scopes, "{:?} {grant:?} {purpose:?}", provider.kind);
        }
        let both = account(&user, &[Purpose::Graph, Purpose::Smtp]);
        let resources = both.purposes.iter().map(|purpose| Resource::of(&microsoft, &both, *purpose));
        assert_eq!(
            authorization_scopes(&microsoft, &resources.collect::<Vec<_>>()).join(" "),
            format!("https://graph.microsoft.com/Mail.Send https://outlook.office.com/SMTP.Send {extra}"),
        );
    }

    #[test]
    fn the_gmail_api_alone_asks_for_the_smaller_scope() {
        let google = google("https://login.example/token");
        let alone = account(&Grant::ServiceAccount, &[Purpose::Gmail]);
        let asked = Resource::of(&google, &alone, Purpose::Gmail);
        assert_eq!(asked.to_string(), GOOGLE_SEND);
        assert_eq!(asked.missing_from(&[GOOGLE_MAIL.to_owned()]), None);
        let both = account(&Grant::ServiceAccount, &[Purpose::Gmail, Purpose::Imap]);
        assert_eq!(Resource::of(&google, &both, Purpose::Gmail).to_string(), GOOGLE_MAIL);
        let watched = account(&Grant::AuthorizationCode, &[Purpose::Gmail, Purpose::Inbox]);
        let of = |purpose| Resource::of(&google, &watched, purpose);
        let granted_before = [GOOGLE_SEND.to_owned()];
        assert_eq!(of(Purpose::Gmail).missing_from(&granted_before), None, "mail goes out as before");
        assert_eq!(of(Purpose::Inbox).missing_from(&granted_before), Some(GOOGLE_MAIL), "looking needs a new sign-in");
    }

    #[test]
    fn scopes_of_several_resources_replace_the_computed_ones_of_their_own_alone() {
        let scopes = [
            "https://graph.microsoft.com/Mail.ReadWrite",
            "https://graph.microsoft.com/Mail.Send",
            "https://outlook.office365.com/SMTP.Send",
            "offline_access",
        ];
        let provider = Provider { scopes: Some(scopes.map(String::from).to_vec()), ..microsoft("https://l.example/t") };
        let user = account(&Grant::AuthorizationCode, &[Purpose::Graph, Purpose::Smtp]);
        let of = |purpose| Resource::of(&provider, &user, purpose).to_string();
        assert_eq!(of(Purpose::Graph), scopes[..2].join(" "));
        assert_eq!(of(Purpose::Smtp), scopes[2], "the two names of Exchange are one resource");
        let bare = Provider { scopes: Some(vec!["Mail.Send".into(), scopes[2].into()]), ..provider.clone() };
        assert_eq!(Resource::of(&bare, &user, Purpose::Graph).to_string(), "Mail.Send", "a bare name is Graph's");
    }

    #[test]
    fn who_signs_in_for_another_mailbox_asks_for_the_shared_permission() {
        let shared = AccountSettings {
            sign_in_as: Some("admin@contoso.example".into()),
            ..account(&Grant::AuthorizationCode, &[Purpose::Graph])
        };
        for (purpose, permission) in [(Purpose::Graph, "/Mail.Send.Shared"), (Purpose::Inbox, "/Mail.Read.Shared")] {
            let asked = Resource::of(&microsoft("https://l.example/t"), &shared, purpose).to_string();
            assert!(asked.ends_with(permission), "{asked}");
        }
    }

    #[test]
    fn given_parameters_win_over_the_usual_ones() {
        let given = [("prompt", "select_account"), ("domain_hint", "contoso.example")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut google = Provider { authorize_parameters: given.into(), ..google("https://l.example/t") };
        google.authorize_url = Some("https://login.example/authorize?access_type=online".parse().unwrap());
        let user = scanner(Grant::AuthorizationCode);
        let pairs: Vec<_> =
            authorization_extras(&google, &user).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            pairs,
            ["login_hint=scanner@contoso.example", "domain_hint=contoso.example", "prompt=select_account"]
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
