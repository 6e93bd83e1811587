//! `oxpost user`: people of the tenant.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use super::table::Table;
use crate::directory::{User, UserPage};

#[derive(Subcommand, Debug)]
pub(super) enum UserCommand {
    /// Show one user.
    Get {
        /// Object id or user principal name.
        user: String,
        #[command(flatten)]
        shape: Shape,
    },
    /// Show the one who signed in.
    Me {
        #[command(flatten)]
        shape: Shape,
    },
    /// List users.
    List(ListArguments),
}

#[derive(Args, Debug)]
pub(super) struct Shape {
    /// Properties to show, with commas between them.
    #[arg(long, default_value = "", hide_default_value = true)]
    select: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// A word of the name or the beginning of an address; or as Graph writes it: `"displayName:Jean" OR "mail:jean"`.
    #[arg(long)]
    search: Option<String>,
    /// An OData filter: `startswith(displayName,'Jean')`.
    #[arg(long)]
    filter: Option<String>,
    /// `displayName desc`.
    #[arg(long)]
    order_by: Option<String>,
    /// Users on a page, 1 to 999.
    #[arg(long, default_value_t = crate::directory::DEFAULT_TOP)]
    top: u32,
    /// The page to show.
    #[arg(long, default_value_t = 1, conflicts_with = "all", value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// All pages.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    shape: Shape,
}

/// Runs the subcommand.
pub(super) fn run(config: &Path, command: UserCommand) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let done = carry_out(&reach, command).await;
        reach.close().await;
        done
    })
}

async fn carry_out(reach: &Reach, command: UserCommand) -> Result<(), Report> {
    match command {
        UserCommand::Get { user, shape } => {
            let name: String = byte_serialize(user.as_bytes()).collect();
            // The form's sign for a blank is a sign of its own in a path.
            show(reach, &format!("/api/v1/users/{}", name.replace('+', "%20")), &shape).await
        }
        UserCommand::Me { shape } => show(reach, "/api/v1/me", &shape).await,
        UserCommand::List(arguments) => list(reach, &arguments).await,
    }
}

async fn show(reach: &Reach, path: &str, shape: &Shape) -> Result<(), Report> {
    let query = Serializer::new(String::new()).append_pair("select", &shape.select).finish();
    let user: User = reach.get(&format!("{path}?{query}")).await?;
    if shape.json {
        say(format_args!("{:#}", Value::Object(user.0)));
        return Ok(());
    }
    let mut table = Table::default();
    for name in user.0.keys() {
        table.row([name.clone(), user.text(name)]);
    }
    say(table);
    Ok(())
}

async fn list(reach: &Reach, arguments: &ListArguments) -> Result<(), Report> {
    let mut page: UserPage = reach.get(&first_page(arguments)).await?;
    let mut users = Vec::new();
    loop {
        let is_wanted = arguments.all || page.page == arguments.page as usize;
        if is_wanted && arguments.shape.json && !arguments.all {
            return print_page(&page);
        }
        if is_wanted {
            users.append(&mut page.users);
        }
        let Some(next) = page.next.as_ref().filter(|_| arguments.all || !is_wanted) else { break };
        let cursor = Serializer::new(String::new()).append_pair("cursor", next).finish();
        page = reach.get(&format!("/api/v1/users?{cursor}")).await?;
    }
    if !arguments.all && page.page < arguments.page as usize {
        return Err(Report::new(format!("there is no page {}: the list has {}", arguments.page, page.page)));
    }
    if arguments.shape.json {
        page.users = users;
        return print_page(&page);
    }
    print_table(&users, &arguments.shape.select);
    if !arguments.all && !page.is_last_page {
        say(format_args!("page {}; the next one: --page {}", page.page, page.page + 1));
    }
    Ok(())
}

fn first_page(arguments: &ListArguments) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("top", &arguments.top.to_string()).append_pair("select", &arguments.shape.select);
    for (name, value) in
        [("search", &arguments.search), ("filter", &arguments.filter), ("orderBy", &arguments.order_by)]
    {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    format!("/api/v1/users?{}", query.finish())
}

fn print_page(page: &UserPage) -> Result<(), Report> {
    let page = serde_json::to_value(page).map_err(|error| Report::new(error.to_string()))?;
    say(format_args!("{page:#}"));
    Ok(())
}

/// The selected properties, else those by which one knows a person.
fn print_table(users: &[User], select: &str) {
    let selected: Vec<&str> = select.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let columns = if selected.is_empty() { vec!["displayName", "userPrincipalName", "mail", "id"] } else { selected };
    let mut table = Table::default();
    table.row(columns.iter().map(|name| (*name).to_owned()));
    for user in users {
        table.row(columns.iter().map(|name| user.text(name)));
    }
    say(table);
}
