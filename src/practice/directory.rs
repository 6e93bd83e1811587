//! Who and what the practice tenant knows: its mailboxes and the apps registered with it.

use crate::secret::Secret;

/// Client id of the default public app: sign-in by authorization code, redirect to any port of `localhost`.
pub const PUBLIC_CLIENT_ID: &str = "11111111-2222-4333-8444-555555555555";
/// Client id of the default confidential app: client credentials with [`APP_CLIENT_SECRET`].
pub const APP_CLIENT_ID: &str = "66666666-7777-4888-9999-aaaaaaaaaaaa";
/// The default confidential app's secret. It opens nothing but practice.
pub const APP_CLIENT_SECRET: &str = "practice-secret~with/reserved+characters";

/// The tenant: its names, apps and mailboxes.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Verified domain; also the name of the tenant in URLs.
    pub domain: String,
    /// Tenant id, the other name of the tenant in URLs.
    pub tenant_id: String,
    /// Registered apps.
    pub apps: Vec<App>,
    /// People and devices with a mailbox.
    pub users: Vec<User>,
}

/// A registered app.
#[derive(Clone, Debug)]
pub struct App {
    /// Client id.
    pub client_id: String,
    /// Its secret; `None` makes it a public client, which must not send one.
    pub secret: Option<Secret>,
    /// Redirect URIs. For `http://localhost` and `http://127.0.0.1` the port does not count.
    pub redirect_uris: Vec<String>,
    /// Application permissions an administrator has granted, such as `Mail.Send` or `SMTP.SendAsApp`.
    pub roles: Vec<String>,
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct User {
    /// Object id.
    pub id: String,
    /// User principal name, which is also the mailbox's address.
    pub address: String,
    /// Display name.
    pub name: String,
    /// Other addresses this mailbox may send as.
    pub send_as: Vec<String>,
    /// Whether SMTP AUTH is switched on for the mailbox; off, it refuses even good tokens.
    pub smtp_auth: bool,
}

impl User {
    /// A user of the given name with an ordinary mailbox. The id is made from the address, so that it stays the same.
    pub fn new(address: impl Into<String>, name: impl Into<String>) -> Self {
        let address = address.into();
        let id = uuid::Uuid::from_u64_pair(fold(&address, 7), fold(&address, 31)).to_string();
        Self { id, address, name: name.into(), send_as: Vec::new(), smtp_auth: true }
    }

    /// A property by the name that Graph gives it; `None` is null. Given name and surname come from the display name
    /// where it is of two words.
    pub fn property(&self, name: &str) -> Option<String> {
        let two_words = self.name.split_once(' ').filter(|(_, last)| !last.contains(' '));
        match name {
            "id" => Some(self.id.clone()),
            "displayName" => Some(self.name.clone()),
            "mail" | "userPrincipalName" => Some(self.address.clone()),
            "givenName" => two_words.map(|(first, _)| first.to_owned()),
            "surname" => two_words.map(|(_, last)| last.to_owned()),
            _ => None,
        }
    }

    /// Whether the mailbox may send as `address`: its own, or one it has the right to.
    pub fn may_send_as(&self, address: &str) -> bool {
        same(&self.address, address) || self.send_as.iter().any(|other| same(other, address))
    }
}

impl Directory {
    /// The app with this client id.
    pub fn app(&self, client_id: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.client_id == client_id)
    }

    /// The user with this address or object id, in any case of letters.
    pub fn user(&self, address_or_id: &str) -> Option<&User> {
        self.users.iter().find(|user| same(&user.address, address_or_id) || same(&user.id, address_or_id))
    }

    /// Whether a URL's tenant segment names this tenant itself, not an alias such as `common`.
    pub fn is_tenant(&self, segment: &str) -> bool {
        same(segment, &self.domain) || same(segment, &self.tenant_id)
    }
}

impl Default for Directory {
    /// `practice.example` with four mailboxes, a public app and a confidential one.
    fn default() -> Self {
        let mut scanner = User::new("scanner@practice.example", "Scanner, second floor");
        scanner.send_as.push("noreply@practice.example".into());
        let public = App {
            client_id: PUBLIC_CLIENT_ID.into(),
            secret: None,
            redirect_uris: vec!["http://localhost".into(), "http://127.0.0.1".into()],
            roles: Vec::new(),
        };
        let confidential = App {
            client_id: APP_CLIENT_ID.into(),
            secret: Some(Secret::new(APP_CLIENT_SECRET)),
            redirect_uris: vec!["http://localhost".into()],
            roles: ["Mail.Send", "User.Read.All", "SMTP.SendAsApp"].map(String::from).to_vec(),
        };
        Self {
            domain: "practice.example".into(),
            tenant_id: "99999999-8888-4777-8666-555555555555".into(),
            apps: vec![public, confidential],
            users: vec![
                scanner,
                User::new("billing@practice.example", "Billing"),
                User::new("alice@practice.example", "Alice Archer"),
                User::new("bob@practice.example", "Bob Baker"),
            ],
        }
    }
}

/// Whether two addresses or names are the same to Exchange, which ignores case in both halves.
pub(super) fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

fn fold(text: &str, seed: u64) -> u64 {
    text.bytes().fold(seed, |sum, octet| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(octet.to_ascii_lowercase()))
}
