//! Scopes and the resources they belong to.

use std::fmt;

/// Something access tokens open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Resource {
    /// Microsoft Graph.
    Graph,
    /// Exchange Online: SMTP, IMAP, POP and EWS.
    Exchange,
    /// Google's mail: the Gmail API, SMTP, IMAP and POP.
    Google,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix().trim_end_matches('/'))
    }
}

impl Resource {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Graph => "https://graph.microsoft.com/",
            Self::Exchange => "https://outlook.office.com/",
            Self::Google => "https://www.googleapis.com/auth/",
        }
    }

    /// Delegated permissions that exist on the resource (those that matter to mail).
    pub(super) const fn delegated(self) -> &'static [&'static str] {
        match self {
            Self::Graph => &[
                "Mail.Send",
                "Mail.Send.Shared",
                "Mail.Read",
                "Mail.Read.Shared",
                "Mail.ReadBasic",
                "Mail.ReadWrite",
                "Mail.ReadWrite.Shared",
                "User.Read",
                "User.ReadBasic.All",
                "User.Read.All",
            ],
            Self::Google => &["gmail.send", "https://mail.google.com/"],
            Self::Exchange => &["SMTP.Send", "IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "EWS.AccessAsUser.All"],
        }
    }

    /// Application permissions that exist on the resource.
    pub(super) const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Graph => &["Mail.Send", "Mail.Read", "Mail.ReadWrite", "User.Read.All"],
            Self::Google => &[],
            Self::Exchange => &["SMTP.SendAsApp", "IMAP.AccessAsApp", "POP.AccessAsApp", "full_access_as_app"],
        }
    }
}

/// One scope of a request, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// `openid`, `profile`, `email` or `offline_access`: of no resource.
    OpenId(String),
    /// `.default`: all that was consented to on the resource.
    Default(Resource),
    /// A permission of a resource, by its short name.
    Permission(Resource, &'static str),
}

impl Scope {
    /// The resource it belongs to, if any.
    pub(super) const fn resource(&self) -> Option<Resource> {
        match self {
            Self::OpenId(_) => None,
            Self::Default(resource) | Self::Permission(resource, _) => Some(*resource),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenId(name) => f.write_str(name),
            Self::Default(resource) => write!(f, "{}.default", resource.prefix()),
            Self::Permission(resource, name) => write!(f, "{}{name}", resource.prefix()),
        }
    }
}

/// Why a scope parameter cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ScopeError {
    /// Nothing was asked for.
    #[error("the parameter `scope` is missing or empty")]
    Missing,
    /// The resource is not one of this tenant.
    #[error("the resource principal named in `{0}` was not found in the tenant")]
    UnknownResource(String),
    /// The resource has no such permission.
    #[error("the app asked for scope `{0}` that does not exist on the resource")]
    UnknownPermission(String),
    /// More than one resource in one token request.
    #[error("the scope `{0}` names more than one resource")]
    SeveralResources(String),
}

/// Reads a space-separated scope parameter. Names without a resource belong to Graph.
pub(super) fn parse(text: &str) -> Result<Vec<Scope>, ScopeError> {
    let scopes: Vec<Scope> = text.split_ascii_whitespace().map(parse_one).collect::<Result<_, _>>()?;
    if scopes.is_empty() { Err(ScopeError::Missing) } else { Ok(scopes) }
}

/// The one resource of a token request's scopes; `None` if they are all of OpenID Connect.
pub(super) fn single_resource(scopes: &[Scope]) -> Result<Option<Resource>, ScopeError> {
    let mut resources = scopes.iter().filter_map(Scope::resource);
    let first = resources.next();
    if resources.any(|other| Some(other) != first) {
        let text: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        return Err(ScopeError::SeveralResources(text.join(" ")));
    }
    Ok(first)
}

fn parse_one(text: &str) -> Result<Scope, ScopeError> {
    if matches!(text, "openid" | "profile" | "email" | "offline_access") {
        return Ok(Scope::OpenId(text.to_owned()));
    }
    let (resource, name) = match text.strip_prefix("https://") {
        None => (Resource::Graph, text),
        Some(rest) => {
            let (host, name) = rest.split_once('/').ok_or_else(|| ScopeError::UnknownResource(text.to_owned()))?;
            let resource = match host {
                "graph.microsoft.com" => Resource::Graph,
                // Two names of one service; which of them a tutorial uses is a matter of its age.
                "outlook.office.com" | "outlook.office365.com" => Resource::Exchange,
                "www.googleapis.com" => Resource::Google,
                _ => return Err(ScopeError::UnknownResource(text.to_owned())),
            };
            (resource, name)
        }
    };
    if name == ".default" {
        return Ok(Scope::Default(resource));
    }
    let known = resource.delegated().iter().find(|known| known.eq_ignore_ascii_case(name));
    known.map(|known| Scope::Permission(resource, known)).ok_or_else(|| ScopeError::UnknownPermission(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_know_their_resource() {
        let rows = [
            ("Mail.Send", Some(Resource::Graph), "a bare name is Graph's"),
            ("https://graph.microsoft.com/mail.send", Some(Resource::Graph), "case does not count"),
            ("https://outlook.office.com/SMTP.Send", Some(Resource::Exchange), "the documented name"),
            ("https://outlook.office365.com/.default", Some(Resource::Exchange), "the other name"),
            ("offline_access", None, "of no resource"),
        ];
        for (text, resource, why) in rows {
            assert_eq!(parse(text).expect(why)[0].resource(), resource, "{text}: {why}");
        }
    }

    #[test]
    fn what_does_not_exist_is_not_granted() {
        assert!(matches!(parse(" "), Err(ScopeError::Missing)));
        assert!(matches!(parse("SMTP.Send"), Err(ScopeError::UnknownPermission(_))), "a bare name is Graph's");
        assert!(matches!(parse("https://example.com/Mail.Send"), Err(ScopeError::UnknownResource(_))));
    }

    #[test]
    fn two_resources_are_seen_whatever_stands_between_them() {
        let both = parse("Mail.Send offline_access https://outlook.office.com/SMTP.Send").unwrap();
        assert!(matches!(single_resource(&both), Err(ScopeError::SeveralResources(_))));
        let one = parse("offline_access https://outlook.office.com/SMTP.Send").unwrap();
        assert_eq!(single_resource(&one), Ok(Some(Resource::Exchange)));
    }
}
