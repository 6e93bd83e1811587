//! One more account in a file that is there. Comments, order and blanks of the rest stay octet for octet.

use toml_edit::{DocumentMut, Item};

use super::plan::Plan;
use super::text;
use crate::cli::Report;

/// The file with provider and account added at its end, and the account let in where one client is there to use it.
pub(super) fn added(old: &str, plan: &Plan) -> Result<String, Report> {
    let mut document: DocumentMut = old.parse().map_err(|error| Report::new(format!("{error}")))?;
    let inline = ["provider", "account", "directory"]
        .into_iter()
        .find(|name| document.get(name).is_some_and(|item| !item.is_table()));
    if let Some(name) = inline {
        return Err(Report::new(format!("`{name}` is written in one line, and nothing can be added to it"))
            .hint(format!("write it as tables, `[{name}.NAME]`, first")));
    }
    let mut clients = document.get_mut("client").and_then(Item::as_array_of_tables_mut);
    // With several, a person must say which of them may use it.
    let only = clients.as_mut().filter(|clients| clients.len() == 1).and_then(|clients| clients.get_mut(0));
    if let Some(accounts) = only.and_then(|client| client.get_mut("accounts")).and_then(Item::as_array_mut) {
        accounts.push(plan.account.as_str());
    }
    let mut text = document.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&(text::sections(plan) + &text::directory(plan)));
    Ok(text.trim_end().to_owned() + "\n")
}
