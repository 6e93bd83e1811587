//! One account: tokens, what they may do, and whether Exchange and Graph let it in.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::STEP;
use super::causes::{Scene, remedy};
use super::chart::Chart;
use super::claims::Claims;
use super::reading;
use crate::account::MailboxRule;
use crate::cli::reach::Reach;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::ews::try_mailbox;
use crate::delivery::graph;
use crate::delivery::inbox::try_inbox;
use crate::delivery::smtp::{Timeouts, try_login};
use crate::delivery::{EwsWay, GraphWay, SmtpLogin, SmtpWay, Token, WatchedBy, Way};
use crate::directory::UserPage;
use crate::http::{Http, Request};
use crate::mail::Address;
use crate::mail::failure::one_line;
use crate::net::connect::Connector;
use crate::reading::{Protocol, hint};
use crate::token::{Grant, ProviderKind, Purpose};

/// What is examined, and with what.
pub(super) struct Examination<'a> {
    pub(super) config: &'a Config,
    pub(super) reach: &'a Reach,
    pub(super) http: &'a Http,
    pub(super) connector: &'a Connector,
    pub(super) name: &'a str,
    /// The mailbox to try where the account has a whole domain.
    pub(super) mailbox: Option<&'a str>,
}

/// A token and what it says of itself.
struct Opened {
    token: Token,
    claims: Option<Claims>,
}

impl Examination<'_> {
    pub(super) async fn run(&self, chart: &mut Chart<impl Write>) {
        let Some(account) = self.config.token.accounts.iter().find(|account| account.name == self.name) else { return };
        let provider = self.config.token.providers.iter().find(|provider| provider.name == account.provider);
        let is_microsoft = provider.is_some_and(|provider| provider.kind == ProviderKind::Microsoft);
        let app_only = matches!(account.grant, Grant::ClientCredentials | Grant::ManagedIdentity);
        let mailbox = self.mailbox(chart);
        let mut reader = None;
        for purpose in &account.purposes {
            let Some(mut opened) = self.token(*purpose, app_only, chart).await else { continue };
            opened.claims = opened.claims.filter(|_| is_microsoft);
            if let Some(claims) = &opened.claims {
                self.permissions(*purpose, app_only, claims, chart);
                if *purpose == Purpose::Graph && self.has_drafts() {
                    self.draft_permission(app_only, claims, chart);
                }
            }
            let ways = self.config.delivery.accounts.get(self.name).iter().flat_map(|ways| ways.ways.clone()).collect();
            self.ways(*purpose, ways, (app_only, mailbox.as_ref(), &opened), chart).await;
            if *purpose == Purpose::Inbox {
                self.inbox(&opened, chart).await;
            }
            if matches!(purpose, Purpose::Imap | Purpose::Pop) {
                reader = Some(opened);
            }
        }
        // Without a token for it there is nothing more to find out.
        if let (Some(opened), Some(mailbox)) = (reader, &mailbox) {
            let words = mailbox.to_string();
            let scene = Scene { account: self.name, mailbox: &words, app_only, claims: opened.claims.as_ref() };
            reading::examine(self.reach, &scene, chart).await;
        }
        if self.config.directory.as_ref().is_some_and(|people| people.account == self.name) {
            self.people(chart).await;
        }
    }

    fn mailbox(&self, chart: &mut Chart<impl Write>) -> Option<Address> {
        let account = self.config.accounts.iter().find(|account| account.name == self.name)?;
        match (&account.mailbox, self.mailbox) {
            (MailboxRule::One(mailbox), _) => Some(mailbox.clone()),
            (MailboxRule::Domain(_), Some(typed)) => match typed.parse() {
                Ok(mailbox) => Some(mailbox),
                Err(error) => {
                    chart.bad("mailbox", &format!("`{typed}` is no address: {error}"), "write one after --mailbox");
                    None
                }
            },
            (MailboxRule::Domain(domain), None) => {
                let what = format!("the account is for any mailbox of {domain}; with --mailbox one of them is tried");
                chart.skipped("mailbox", &what);
                None
            }
        }
    }

    async fn token(&self, purpose: Purpose, app_only: bool, chart: &mut Chart<impl Write>) -> Option<Opened> {
        let step = "token";
        match self.reach.token(self.name, purpose).await {
            Ok(token) => {
                let what = format!("for {}: good until {}", purpose.word(), token.expires);
                chart.fine(step, &what);
                let claims = Claims::of(&token.secret);
                Some(Opened { token, claims })
            }
            Err(report) => {
                let scene = Scene { account: self.name, mailbox: "", app_only, claims: None };
                let words = format!("for {}: {}", purpose.word(), report.message());
                let known = remedy(report.message(), &scene);
                let fallback = "nothing to do if it passes by itself; else see the words above";
                chart.bad(step, &words, known.as_deref().or(report.next_step()).unwrap_or(fallback));
                None
            }
        }
    }

    /// What the token says it may do, against what its purpose needs.
    fn permissions(&self, purpose: Purpose, app_only: bool, claims: &Claims, chart: &mut Chart<impl Write>) {
        let needed = needed(purpose, app_only);
        let held = claims.permissions().join(", ");
        let held = if held.is_empty() { "nothing".to_owned() } else { held };
        let what = format!("the token for {} grants {held}", purpose.word());
        if needed.is_empty() || claims.grants(needed) {
            return chart.fine("permission", &what);
        }
        let what = format!("{what}, and not `{}`", needed[0]);
        if app_only {
            let remedy = format!(
                "grant the app the *application* permission `{}` with admin consent; not needed where the right comes by RBAC \
                 for Applications in Exchange, which no token shows",
                needed[0]
            );
            chart.doubt("permission", &what, &remedy);
        } else {
            let remedy = format!(
                "add the *delegated* permission `{}` to the app registration, then run `oxpost login {}` and consent",
                needed[0], self.name
            );
            chart.bad("permission", &what, &remedy);
        }
    }

    fn has_drafts(&self) -> bool {
        let ways = self.config.delivery.accounts.get(self.name);
        ways.is_some_and(|ways| ways.ways.iter().any(|way| matches!(way, Way::Graph(graph) if graph.drafts.is_some())))
    }

    /// Drafts need more than sending does, and a token that lacks it is noticed only by the first large message.
    fn draft_permission(&self, app_only: bool, claims: &Claims, chart: &mut Chart<impl Write>) {
        let (kind, then) = if app_only {
            ("application", "with admin consent".to_owned())
        } else {
            ("delegated", format!("then run `oxpost login {}` and consent", self.name))
        };
        if claims.grants(&["Mail.ReadWrite", "Mail.ReadWrite.Shared"]) {
            return chart.fine("drafts", "`drafts` is on and the token grants `Mail.ReadWrite`, which it needs");
        }
        let what = "`drafts` is on and the token does not grant `Mail.ReadWrite`: large messages cannot go by Graph";
        let remedy = format!(
            "add the *{kind}* permission `Mail.ReadWrite` to the app registration, {then}; or take `drafts` out"
        );
        chart.bad("drafts", what, &remedy);
    }

    async fn ways(
        &self,
        purpose: Purpose,
        ways: Vec<Way>,
        (app_only, mailbox, opened): (bool, Option<&Address>, &Opened),
        chart: &mut Chart<impl Write>,
    ) {
        let Some(mailbox) = mailbox else { return };
        for way in ways {
            match way {
                Way::Smtp(way) if purpose == Purpose::Smtp && way.login == SmtpLogin::Token => {
                    let words = mailbox.to_string();
                    let claims = opened.claims.as_ref();
                    let scene = Scene { account: self.name, mailbox: &words, app_only, claims };
                    self.login(&way, mailbox, (opened, &scene), chart).await;
                }
                Way::Graph(way) if purpose == Purpose::Graph => self.graph(&way, mailbox, opened, chart).await,
                Way::Ews(way) if purpose == Purpose::Ews => self.ews(&way, mailbox, opened, chart).await,
                Way::Smtp(_) | Way::Graph(_) | Way::Gmail(_) | Way::Ews(_) => {}
            }
        }
    }

    async fn login(
        &self,
        way: &SmtpWay,
        mailbox: &Address,
        (opened, scene): (&Opened, &Scene<'_>),
        chart: &mut Chart<impl Write>,
    ) {
        let timeouts = Timeouts { step: STEP, last: STEP, idle: STEP };
        match try_login(way, self.connector, timeouts, mailbox, &opened.token).await {
            Ok(()) => chart.fine("smtp login", &format!("{}:{} lets {mailbox} in", way.host, way.port)),
            Err(failure) => {
                let remedy = remedy(&failure.diagnostic, scene).unwrap_or_else(|| failure.reason.hint(self.name));
                chart.bad("smtp login", &failure.to_string(), &remedy);
            }
        }
    }

    async fn ews(&self, way: &EwsWay, mailbox: &Address, opened: &Opened, chart: &mut Chart<impl Write>) {
        match try_mailbox(way, self.http, STEP, mailbox, &opened.token).await {
            Ok(()) => chart.fine("ews", &format!("{} opens the mailbox {mailbox}", way.url)),
            Err(failure) => chart.bad("ews", &failure.to_string(), &failure.reason.hint(self.name)),
        }
    }

    /// Whether the mailbox can be looked into, for `watch_inbox`.
    async fn inbox(&self, opened: &Opened, chart: &mut Chart<impl Write>) {
        let Some(inbox) = self.config.delivery.inboxes.iter().find(|inbox| inbox.account == self.name) else { return };
        // Whatever came in the last hour shows whether the server answers what the gateway asks it.
        let since = Clock::system().now().minus(Duration::from_hours(1));
        match try_inbox(inbox, (self.http, self.connector), STEP, (&opened.token, since)).await {
            Ok(()) => chart.fine("inbox", &format!("{} can be looked into for reports", inbox.mailbox)),
            Err(failure) => {
                let mend = match &inbox.by {
                    WatchedBy::Graph { .. } => "see that the token grants `Mail.Read` (above)".to_owned(),
                    WatchedBy::Imap(_) => hint(failure.reason, self.name, Protocol::Imap.name()),
                };
                let remedy = format!("{mend}, or take `watch_inbox` out of account `{}`", self.name);
                chart.bad("inbox", &failure.to_string(), &remedy);
            }
        }
    }

    /// Asks Graph who the mailbox is. That it may not say so is no failure: sending needs another right.
    async fn graph(&self, way: &GraphWay, mailbox: &Address, opened: &Opened, chart: &mut Chart<impl Write>) {
        let Some(url) = profile(way, mailbox) else { return };
        let request = Request::get(url).bearer(&opened.token.secret);
        let answer = match request {
            Ok(request) => self.http.send(request).await,
            Err(error) => Err(error),
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                return chart.bad("graph", &error.to_string(), "check this machine's network, proxy and `graph_url`");
            }
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(one_line).unwrap_or_default();
        let words = format!("{}: {}", text(&body["error"]["code"]), text(&body["error"]["message"]));
        match response.status {
            200 => {
                let names = [text(&body["mail"]), text(&body["userPrincipalName"])];
                let wanted = mailbox.to_string();
                if names.iter().any(|name| name.eq_ignore_ascii_case(&wanted)) {
                    return chart.fine("graph", &format!("it knows the mailbox as {}", names[1]));
                }
                let remedy = format!(
                    "sign in as the mailbox with `oxpost login {}`, or let that user send as `{wanted}` in Exchange",
                    self.name
                );
                chart.doubt("graph", &format!("`{}` signed in, and the mailbox is `{wanted}`", names[1]), &remedy);
            }
            403 => {
                chart.fine("graph", "it accepts the token; it may not read the profile, which sending does not need")
            }
            401 => {
                let remedy = "check `graph_resource` and `graph_url`: they must be of the same cloud as the tenant";
                chart.bad("graph", &format!("it does not accept the token: {words}"), remedy);
            }
            404 => {
                let remedy = "check the spelling of `mailbox`, and that it is in this tenant";
                chart.bad("graph", &format!("there is no user `{mailbox}`: {words}"), remedy);
            }
            429 => chart.doubt("graph", "it asks to slow down", "run the command again later"),
            status => {
                let remedy =
                    "run the command again later; if it stays, check what stands between this machine and Graph";
                chart.bad("graph", &format!("HTTP {status} {words}"), remedy);
            }
        }
    }

    async fn people(&self, chart: &mut Chart<impl Write>) {
        match self.reach.get::<UserPage>("/api/v1/users?top=1&select=id").await {
            Ok(page) => {
                chart.fine("people", &format!("they can be looked up; the first page has {}", page.users.len()))
            }
            Err(report) => chart.bad("people", report.message(), report.next_step().unwrap_or("see the words above")),
        }
    }
}

/// Permissions of which one is needed (Microsoft Learn, "Microsoft Graph permissions reference", "Authenticate an IMAP,
/// POP or SMTP connection using OAuth"); none: nothing is known.
const fn needed(purpose: Purpose, app_only: bool) -> &'static [&'static str] {
    match (purpose, app_only) {
        (Purpose::Graph, false) => &["Mail.Send", "Mail.Send.Shared"],
        (Purpose::Graph, true) => &["Mail.Send"],
        (Purpose::Smtp, false) => &["SMTP.Send"],
        (Purpose::Smtp, true) => &["SMTP.SendAsApp"],
        (Purpose::Imap, false) => &["IMAP.AccessAsUser.All"],
        (Purpose::Imap, true) => &["IMAP.AccessAsApp"],
        (Purpose::Pop, false) => &["POP.AccessAsUser.All"],
        (Purpose::Pop, true) => &["POP.AccessAsApp"],
        (Purpose::Ews, false) => &["EWS.AccessAsUser.All"],
        (Purpose::Ews, true) => &["full_access_as_app"],
        (Purpose::Directory, false) => &["User.ReadBasic.All", "User.Read.All", "Directory.Read.All"],
        (Purpose::Directory, true) => &["User.Read.All", "Directory.Read.All"],
        (Purpose::Inbox, false) => &["Mail.Read", "Mail.ReadWrite", "Mail.Read.Shared", "Mail.ReadWrite.Shared"],
        (Purpose::Inbox, true) => &["Mail.Read", "Mail.ReadWrite"],
        (Purpose::Gmail, _) => &[],
    }
}

fn profile(way: &GraphWay, mailbox: &Address) -> Option<Url> {
    let mut url = graph::root(&way.base, way.by_name, mailbox).ok()?;
    url.query_pairs_mut().append_pair("$select", "id,mail,userPrincipalName");
    Some(url)
}
