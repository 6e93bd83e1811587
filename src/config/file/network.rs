//! `[network]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretSource;

/// How connections leave this machine: to providers' sign-in pages and interfaces, to mail servers, to webhooks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The proxy that all of them go through: `http://HOST:PORT` for one that takes CONNECT, `socks5h://HOST:PORT` for
    /// SOCKS5. It looks up the names of the servers. `environment`: the one of the variable `HTTPS_PROXY`, else
    /// `ALL_PROXY`, except for what `NO_PROXY` lists. `none`, or without this key: no proxy, whatever the environment says.
    #[schemars(example = &"http://proxy.contoso.com:3128")]
    pub proxy: Option<String>,
    /// The login at the proxy, if it wants one.
    #[schemars(example = &"oxpost")]
    pub proxy_login: Option<String>,
    /// The password of that login. It is never written here itself.
    #[schemars(example = SecretSource { env: None, file: Some("/etc/oxpost/proxy.password".to_owned()) })]
    pub proxy_password: Option<SecretSource>,
    /// What goes past the proxy: names, each with all names below it; addresses and networks, for servers that the
    /// configuration names by address; `*` for everything.
    #[schemars(example = ["contoso.lan", "10.0.0.0/8"])]
    pub no_proxy: Vec<String>,
    /// Whether the proxy also serves for this machine's own addresses. Connections to them go past it otherwise.
    pub proxy_loopback: bool,
}
