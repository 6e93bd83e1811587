//! A configuration for the tests of this folder. What the page does with a running gateway is in tests/gateway/page.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{Account, Clients, MailboxRule};
use crate::front::admin::{PageSettings, Setup};
use crate::front::{SubmissionSettings, TlsFiles};

/// A page on localhost:8025.
pub(in super::super) fn setup() -> Setup {
    let tls = TlsFiles { folder: PathBuf::from("/nowhere"), certificate: None, key: None, names: Vec::new() };
    let account = Account {
        name: "scanner".to_owned(),
        provider: "contoso".to_owned(),
        mailbox: MailboxRule::One("scanner@contoso.com".parse().unwrap()),
        shared: Vec::new(),
    };
    Setup {
        submission: SubmissionSettings { hostname: "gateway.test".to_owned(), listeners: Vec::new(), tls },
        clients: Clients::default(),
        accounts: vec![Arc::new(account)],
        providers: Vec::new(),
        ways: HashMap::new(),
        reading: HashMap::new(),
        step_timeout: Duration::from_secs(60),
        page: PageSettings {
            listen: vec!["127.0.0.1:8025".parse().unwrap()],
            wanted: true,
            tls: false,
            public_url: None,
            proxies: Vec::new(),
            password: None,
            keys: Vec::new(),
            watch_from: Vec::new(),
        },
    }
}
