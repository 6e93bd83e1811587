//! A scriptable token endpoint, and settings to use it with.

use std::time::Duration;

use crate::secret::Secret;
use crate::token::{ClientAuthentication, Provider, ProviderKind};

/// Microsoft, with its endpoints at `token_url`.
pub(in crate::token) fn microsoft(token_url: &str) -> Provider {
    Provider {
        name: "contoso".into(),
        kind: ProviderKind::Microsoft,
        authorize_url: "https://login.example/authorize?keep=1".parse().unwrap(),
        token_url: token_url.parse().unwrap(),
        client_id: "client-id".into(),
        authentication: ClientAuthentication::SecretPost(Secret::new(CLIENT_SECRET)),
        redirect_uri: None,
        graph_resource: "https://graph.microsoft.com".into(),
        exchange_resource: "https://outlook.office.com".into(),
        exchange_app_resource: "https://outlook.office365.com".into(),
        scopes: None,
        sign_in_timeout: Duration::from_secs(120),
    }
}

/// Google, with its endpoints at `token_url`.
pub(in crate::token) fn google(token_url: &str) -> Provider {
    Provider { name: "google".into(), kind: ProviderKind::Google, ..microsoft(token_url) }
}

pub(in crate::token) const CLIENT_SECRET: &str = "cl1ent+s3cret/value=";
