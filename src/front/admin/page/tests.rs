//! A configuration for the tests of this folder. What the page does with a running gateway is in tests/gateway/page.rs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{Account, Clients, MailboxRule};
use crate::front::admin::{PageSettings, Setup};
use crate::front::{SubmissionSettings, TlsFiles};
use crate::token::{ClientAuthentication, ManagedIdentity, Provider, ProviderKind};

/// A page on localhost:8025, and an account that is signed in by a browser.
pub(super) fn setup() -> Setup {
    let tls = TlsFiles { folder: PathBuf::from("/nowhere"), certificate: None, key: None, names: Vec::new() };
    let account = Account {
        name: "scanner".to_owned(),
        provider: "contoso".to_owned(),
        mailbox: MailboxRule::One("scanner@contoso.com".parse().unwrap()),
    };
    Setup {
        submission: SubmissionSettings { hostname: "gateway.test".to_owned(), listeners: Vec::new(), tls },
        clients: Clients::default(),
        accounts: vec![Arc::new(account)],
        providers: vec![provider()],
        page: PageSettings {
            listen: vec!["127.0.0.1:8025".parse().unwrap()],
            wanted: true,
            tls: false,
            public_url: None,
            password: None,
            keys: Vec::new(),
        },
    }
}

fn provider() -> Provider {
    Provider {
        name: "contoso".to_owned(),
        kind: ProviderKind::Microsoft,
        issuer: None,
        authorize_url: "https://login.example/authorize".parse().ok(),
        token_url: "https://login.example/token".parse().ok(),
        device_url: None,
        client_id: "id".to_owned(),
        authentication: ClientAuthentication::None,
        secret_expires: None,
        service_account: None,
        managed_identity: ManagedIdentity::default(),
        authorize_parameters: BTreeMap::new(),
        token_parameters: BTreeMap::new(),
        test_mode: false,
        redirect_uri: None,
        graph_resource: "https://graph.example".to_owned(),
        exchange_resource: "https://exchange.example".to_owned(),
        exchange_app_resource: "https://exchange.example".to_owned(),
        scopes: None,
        sign_in_timeout: Duration::from_secs(120),
    }
}
