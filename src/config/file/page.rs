//! `[admin]` and `[[api_key]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneOrMany;
use crate::front::admin::Scope;

/// The administrator's page and the API on its port.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Whether there is a page at all. Without it, the command line still reaches the gateway.
    pub enabled: bool,
    /// Address and port, or a list of them. `localhost`: this machine alone, by IPv4 and IPv6. With any other address,
    /// `tls = true` is needed.
    pub listen: OneOrMany,
    /// Whether the port speaks HTTPS, with the certificate of the listeners.
    pub tls: bool,
    /// Where browsers find the page, if not on this machine: through a proxy that speaks HTTPS, or with `tls = true`.
    /// Providers send the browser back to it after a sign-in, so register `PUBLIC_URL/callback` with the app.
    #[schemars(example = "https://mail.contoso.com")]
    pub public_url: Option<String>,
    /// Addresses or networks of proxies before the page. Wrong passwords are counted for each address that the nearest
    /// one writes into `X-Forwarded-For`; without this key they all count for the proxy, so that whoever guesses shuts
    /// out everybody. List only proxies that write that header.
    #[schemars(example = ["127.0.0.1"])]
    pub proxies: Vec<String>,
    /// The argon2id hash of the administrator's password, as `oxpost password` prints it. Without it, the page is
    /// entered by one-time links: one in the log at each start, more by `oxpost page`.
    #[schemars(example = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$...")]
    pub password: Option<String>,
    /// Networks from which `/metrics`, `/healthz` and `/readyz` may be read without a key. From elsewhere, and through
    /// `public_url` or another proxy, they need an API key with the scope `read`.
    pub watch_from: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: OneOrMany::One("localhost:8025".to_owned()),
            tls: false,
            public_url: None,
            proxies: Vec::new(),
            password: None,
            watch_from: vec!["127.0.0.0/8".to_owned(), "::1".to_owned()],
        }
    }
}

/// A key with which a program uses the API on the page's port, as `Authorization: Bearer NAME.SECRET`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "secret", "scopes"]))]
pub struct ApiKey {
    /// A name of your choice, of letters, digits and `-`.
    #[schemars(example = &"monitoring")]
    pub name: Option<String>,
    /// The argon2id hash of its secret, as `oxpost password` prints it.
    #[schemars(example = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$...")]
    pub secret: Option<String>,
    /// What it may do.
    #[schemars(example = ["read"])]
    pub scopes: Vec<Scope>,
    /// The name of the `[[client]]` as which it hands in mail (`POST /api/v1/messages`, scope `send`): accounts, sender
    /// and routes are those of the client, which then needs neither `networks` nor a `login`.
    #[schemars(example = &"erp")]
    pub client: Option<String>,
}
