//! `oxpost try`: the whole way on this machine alone, verified, then left open for the reader's own client.

mod first_mail;
mod first_read;
mod house;

use clap::Args;

use self::house::House;
use super::report::{Report, say};
use crate::telemetry::{self, LogFormat};

#[derive(Args, Debug)]
pub(super) struct TryArguments {
    /// Verify and end, with exit code 0 or 1.
    #[arg(long)]
    once: bool,
    /// Show the gateway's log.
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the practice tenant and the gateway; sends and verifies a message by each way out.
pub(super) fn run(arguments: &TryArguments) -> Result<(), Report> {
    let cannot_start = |error| Report::new(format!("cannot start: {error}"));
    let level = if arguments.verbose { "info" } else { "error" };
    let _logging = telemetry::start(LogFormat::Human, level).map_err(cannot_start)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(cannot_start)?;
    runtime.block_on(async {
        let house = House::start(arguments.once).await?;
        let verified = verify(&house).await;
        if verified.is_ok() && !arguments.once {
            invite(&house);
            wait_for_the_end().await;
        }
        house.stop().await;
        verified
    })
}

async fn verify(house: &House) -> Result<(), Report> {
    say(format_args!("practice tenant   {}  (identity, Graph, SMTP; what arrives is shown there)", house.page()));
    say(format_args!("gateway           smtp://{}", house.smtp()));
    for mailbox in house::MAILBOXES {
        house.sign_in(mailbox.account).await?;
        say(format_args!(
            "signed in         {} (account `{}`, sends by {})",
            mailbox.address, mailbox.account, mailbox.way
        ));
    }
    for mailbox in house::MAILBOXES {
        let queued = first_mail::send(house.smtp(), mailbox).await?;
        say(format_args!("sent              from {}: {queued}", mailbox.address));
    }
    first_mail::verify(house).await?;
    say("verified          both arrived, by SMTP with XOAUTH2 and by Graph sendMail; the Bcc is seen by nobody else");
    house.sign_in(house::READER).await?;
    let count = first_read::read(house.imap()).await?;
    say(format_args!(
        "read              {count} messages of {} by IMAP at {}, with a password; the practice tenant saw a token",
        house::READER_ADDRESS,
        house.imap()
    ));
    Ok(())
}

fn invite(house: &House) {
    let (host, port) = (house.smtp().ip(), house.smtp().port());
    let [smtp, graph] = house::MAILBOXES;
    let page = house
        .admin_page()
        .map(|link| format!("The page of the gateway, by a link that is good once:\n\n    {link}\n\n"));
    say(format_args!(
        "\nNow your own client: SMTP server {host}, port {port}, no password needed (or STARTTLS and login `{}`, password `{}`).\n\
         From {} goes by SMTP, from {} by Graph; anything else goes by SMTP. For instance:\n\n\
         \x20   swaks --server {host}:{port} --from {} --to someone@example.com\n\n\
         Watch it arrive at {}\n\
         Read it: IMAP at {imap}, POP3 at {pop3}, login {reader}, password `{}`\n\n\
         {}See the queue:  oxpost queue list --all --config {}\n\n\
         Ctrl-C ends everything and leaves nothing behind.",
        house::LOGIN,
        house::PASSWORD,
        smtp.address,
        graph.address,
        graph.address,
        house.page(),
        house::PASSWORD,
        page.unwrap_or_default(),
        house.config_file().display(),
        imap = house.imap(),
        pop3 = house.pop3(),
        reader = house::READER_ADDRESS,
    ));
}

async fn wait_for_the_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _interrupted = tokio::signal::ctrl_c().await;
        }
    }
    say("ending");
}
