//! What the keys become. What is said about faults, and the report, is in tests/config.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::delivery::{SmtpTls, Way};
use crate::token::{ClientAuthentication, Grant, Purpose};

const DOOR: &str = "
[[listener]]
listen = '127.0.0.1:0'
[[client]]
name = 'c'
networks = ['127.0.0.1']
accounts = ['a']
";

fn load(text: &str) -> Config {
    let path = Path::new("/etc/oxpost/oxpost.toml");
    let set = |name: &str| name.starts_with("OXPOST_S").then(|| format!("value of {name}"));
    Config::read(&format!("{text}{DOOR}"), path, &set).unwrap_or_else(|errors| panic!("{errors}"))
}

fn microsoft(provider: &str, account: &str) -> Config {
    load(&format!(
        "[provider.p]\nkind = 'microsoft'\nclient_id = 'id'\n{provider}\n\
         [account.a]\nprovider = 'p'\nmailbox = 'a@example.com'\n{account}\n"
    ))
}

fn smtp_host(config: &Config) -> String {
    let smtp = |way: &Way| match way {
        Way::Smtp(smtp) => Some(format!("{}:{} {:?}", smtp.host, smtp.port, smtp.tls)),
        Way::Graph(_) | Way::Gmail(_) | Way::Ews(_) => None,
    };
    config.delivery.accounts["a"].ways.iter().find_map(smtp).unwrap_or_default()
}

#[test]
fn the_sign_in_asks_for_what_programs_get_tokens_for() {
    let purposes = |account: &str| microsoft("", account).token.accounts[0].purposes.clone();
    let out = [Purpose::Graph, Purpose::Smtp];
    assert_eq!(purposes(""), out);
    assert_eq!(purposes("tokens_for = ['ews', 'imap']"), [&out[..], &[Purpose::Ews, Purpose::Imap]].concat());
}

#[test]
fn the_cloud_decides_every_endpoint() {
    let table = [
        ("global", "login.microsoftonline.com", "graph.microsoft.com", "smtp.office365.com", "outlook.office.com"),
        ("us-gov", "login.microsoftonline.us", "graph.microsoft.us", "smtp.office365.us", "outlook.office365.us"),
        (
            "us-dod",
            "login.microsoftonline.us",
            "dod-graph.microsoft.us",
            "outlook-dod.office365.us",
            "outlook-dod.office365.us",
        ),
        (
            "china",
            "login.partner.microsoftonline.cn",
            "microsoftgraph.chinacloudapi.cn",
            "smtp.partner.outlook.cn",
            "partner.outlook.cn",
        ),
    ];
    for (cloud, login, graph, smtp, resource) in table {
        let config = microsoft(&format!("cloud = '{cloud}'\ntenant = 't.example'"), "");
        let provider = &config.token.providers[0];
        assert_eq!(
            provider.authorize_url.as_ref().unwrap().as_str(),
            format!("https://{login}/t.example/oauth2/v2.0/authorize")
        );
        assert_eq!(
            provider.token_url.as_ref().unwrap().as_str(),
            format!("https://{login}/t.example/oauth2/v2.0/token")
        );
        assert_eq!(provider.graph_resource, format!("https://{graph}"));
        assert_eq!(provider.exchange_resource, format!("https://{resource}"));
        assert_eq!(smtp_host(&config), format!("{smtp}:587 StartTls"));
    }
}

#[test]
fn an_endpoint_that_is_written_wins_over_the_one_that_is_known() {
    let config = microsoft(
        "token_url = 'http://127.0.0.1:8080/token'\ngraph_url = 'http://localhost:8081/v1.0/'\n\
         smtp_host = 'localhost'\nsmtp_port = 465\nscopes = 'one  two'",
        "",
    );
    let provider = &config.token.providers[0];
    assert_eq!(provider.token_url.as_ref().unwrap().as_str(), "http://127.0.0.1:8080/token");
    assert_eq!(provider.graph_resource, "https://graph.microsoft.com", "the resource is not the place");
    assert_eq!(provider.scopes, Some(vec!["one".to_owned(), "two".to_owned()]));
    assert_eq!(smtp_host(&config), "localhost:465 Implicit", "port 465 begins with TLS");
    match &config.delivery.accounts["a"].ways[0] {
        Way::Graph(graph) => assert_eq!((graph.base.as_str(), graph.by_name), ("http://localhost:8081/v1.0", false)),
        Way::Smtp(_) | Way::Gmail(_) | Way::Ews(_) => panic!("graph comes first"),
    }
}

#[test]
fn limits_are_the_accounts_own_else_the_files_else_those_of_the_kind() {
    let config =
        microsoft("[limits]\nmessages_per_minute = 20\nrecipients_per_day = 5", "limits = { recipients_per_day = 7 }");
    let ways = &config.delivery.accounts["a"];
    assert_eq!(ways.limits.recipients_per_day, 7, "the account's own");
    assert_eq!(ways.limits.messages_per_minute, 20, "the file's");
    assert_eq!(ways.limits.smtp_sessions, 3, "Microsoft's");
    assert_eq!(ways.ways[0].max_octets(), 3 * 1024 * 1024);
    assert_eq!(ways.limits.graph_octets_per_5_minutes, 150_000_000, "Microsoft's");
    assert_eq!(ways.limits.graph_requests_per_10_minutes, 10_000, "Microsoft's");
    let config = microsoft(
        "[limits]\ngraph_octets_per_5_minutes = \"20 MB\"\ngraph_requests_per_10_minutes = 7",
        "limits = { graph_octets_per_5_minutes = \"0 B\" }",
    );
    let limits = config.delivery.accounts["a"].limits;
    assert_eq!((limits.graph_octets_per_5_minutes, limits.graph_requests_per_10_minutes), (0, 7));
}

#[test]
fn client_credentials_act_for_a_domain_without_anybody() {
    let config = load(
        "[provider.p]\nkind = 'microsoft'\nclient_id = 'id'\ntenant = 't.example'\n\
         client_secret = { env = 'OXPOST_SECRET' }\n\
         [account.a]\nprovider = 'p'\nmailbox = '*@Example.com'\ngrant = 'client-credentials'\n\
         send = ['smtp', 'graph']\n",
    );
    let account = &config.token.accounts[0];
    assert!(matches!(account.grant, Grant::ClientCredentials));
    assert_eq!(account.purposes, [Purpose::Smtp, Purpose::Graph]);
    assert_eq!(account.login_hint, None);
    assert!(matches!(&config.delivery.accounts["a"].ways[1], Way::Graph(graph) if graph.by_name));
    let ClientAuthentication::SecretPost(secret) = &config.token.providers[0].authentication else {
        panic!("{:?}", config.token.providers[0].authentication);
    };
    assert!(secret.same_as("value of OXPOST_SECRET"));
}

#[test]
fn a_line_end_after_a_secret_in_a_file_is_not_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "a b\r\n").unwrap();
    let text = format!(
        "[provider.p]\nkind = 'google'\nclient_id = 'id'\n[account.a]\nprovider = 'p'\nmailbox = 'a@example.com'\n\
         grant = 'refresh-token'\nrefresh_token = {{ file = 'token' }}\n{DOOR}"
    );
    let config = Config::read(&text, &folder.path().join("oxpost.toml"), &|_| None).unwrap();
    let Grant::RefreshToken(Some(token)) = &config.token.accounts[0].grant else {
        panic!("{:?}", config.token.accounts[0].grant);
    };
    assert!(token.same_as("a b"));
    assert_eq!(config.secret_files, [folder.path().join("token")]);
}

#[test]
fn the_sealing_key_comes_from_the_environment_else_a_credential_else_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("oxpost-key"), "x").unwrap();
    let text = format!(
        "data = 'd'\n[provider.p]\nkind = 'microsoft'\nclient_id = 'id'\n[account.a]\nprovider = 'p'\n\
         mailbox = 'a@example.com'\n{DOOR}"
    );
    let key = |variables: &[(&str, &str)]| {
        let environment = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::read(&text, Path::new("/etc/oxpost/oxpost.toml"), &environment).unwrap().key
    };
    let credentials = folder.path().to_str().unwrap();
    let both = [("OXPOST_KEY", "c2VjcmV0"), ("CREDENTIALS_DIRECTORY", credentials)];
    assert!(matches!(key(&both), KeySource::Environment(secret) if secret.same_as("c2VjcmV0")));
    assert!(matches!(key(&both[1..]), KeySource::Credential(path) if path == folder.path().join("oxpost-key")));
    let other = [("CREDENTIALS_DIRECTORY", "/nonexistent")];
    assert!(matches!(key(&other), KeySource::File(path) if path == Path::new("/etc/oxpost/d/key")));
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = microsoft("", "");
    assert_eq!(config.data, Path::new("/var/lib/oxpost"));
    assert_eq!(config.submission.tls.folder, Path::new("/var/lib/oxpost/certs"));
    assert_eq!(config.queue.expire_after, Duration::from_secs(4 * 86_400));
    assert_eq!(config.queue.reserve_octets, 200_000_000);
    assert_eq!(config.delivery.step_timeout, Duration::from_secs(30));
    let listener = &config.submission.listeners[0];
    assert_eq!(listener.tls, front::ListenerTls::StartTls);
    assert_eq!((listener.max_sessions, listener.max_recipients), (1_000, 1_000));
    assert_eq!(smtp_host(&config), format!("smtp.office365.com:587 {:?}", SmtpTls::StartTls));
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_a_panic(
        from in 0..9_000_usize,
        len in 0..40_usize,
        with in ".{0,8}",
    ) {
        let text = reference::sample();
        let (before, rest) = split(&text, from);
        let (_, after) = split(rest, len);
        let _ = Config::read(&format!("{before}{with}{after}"), Path::new("x.toml"), &|_| None);
    }
}

/// Splits near `at`, between two characters.
fn split(text: &str, at: usize) -> (&str, &str) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.split_at(at)
}
