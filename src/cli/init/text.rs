//! A new file, with comments.

use std::fmt::Write;

use toml_edit::{Key, Value};

use super::plan::{NewProvider, Place, Plan, ProviderPlan};
use crate::config::file::Kind;

/// The whole file.
pub(super) fn whole(plan: &Plan) -> String {
    let mut text = String::from(
        "# The configuration of oxpost. `oxpost check` says what it would do; config/oxpost.toml and docs/configuration.md\n\
         # tell of every key.\n\n\
         # Queue, tokens and the key they are sealed with.\n",
    );
    line(&mut text, "data", &plan.data.into());
    text.push('\n');
    text.push_str(&sections(plan));
    text.push_str(&listener(plan));
    text
}

/// Provider and account.
pub(super) fn sections(plan: &Plan) -> String {
    let mut text = String::new();
    if let ProviderPlan::New(new) = &plan.provider {
        text.push_str(&provider(new));
    }
    text.push_str(&account(plan));
    text
}

/// `[directory]`, if it is to be written.
pub(super) fn directory(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.people {
        text.push_str("# People of the tenant are looked up with this account.\n[directory]\n");
        line(&mut text, "account", &plan.account.as_str().into());
        text.push('\n');
    }
    text
}

fn provider(new: &NewProvider) -> String {
    let (kind, about) = match new.kind {
        Kind::Microsoft => ("microsoft", "The app registration in Microsoft Entra: docs/setup/ tells how to make it."),
        Kind::Google => ("google", "The OAuth client in the Google Cloud console: docs/setup/ tells how to make it."),
        Kind::Custom => ("custom", "The OAuth 2.0 service."),
    };
    let mut text = format!("# {about}\n[provider.{}]\n", Key::new(&new.name));
    line(&mut text, "kind", &kind.into());
    if let Some(tenant) = &new.tenant {
        line(&mut text, "tenant", &tenant.as_str().into());
    }
    line(&mut text, "client_id", &new.client_id.as_str().into());
    match &new.secret {
        Some(Place::Variable(name)) => {
            let _ = writeln!(text, "client_secret = {{ env = {} }}", Value::from(name.as_str()));
        }
        Some(Place::File(path)) => {
            let _ = writeln!(text, "client_secret = {{ file = {} }}", Value::from(path.as_str()));
        }
        None => {}
    }
    for (key, value) in &new.endpoints {
        line(&mut text, key, &value.as_str().into());
    }
    text.push('\n');
    text
}

fn account(plan: &Plan) -> String {
    let about = if plan.app_only {
        "The app itself sends; nobody signs in.".to_owned()
    } else {
        format!("Signed in once by `oxpost login {}`.", plan.account)
    };
    let mut text = format!("# {about}\n[account.{}]\n", Key::new(&plan.account));
    line(&mut text, "provider", &plan.provider_name().into());
    line(&mut text, "mailbox", &plan.mailbox.as_str().into());
    if plan.app_only {
        line(&mut text, "grant", &"client-credentials".into());
    }
    if plan.kind() == Kind::Microsoft {
        text.push_str("# By Graph; what is too large for it goes by SMTP.\nsend = [\"graph\", \"smtp\"]\n");
    }
    text.push('\n');
    text
}

fn listener(plan: &Plan) -> String {
    let mut text = directory(plan);
    if plan.is_reachable {
        text.push_str(
            "# Other machines can reach this one; the client below says which of them are let in.\n\
             [[listener]]\nlisten = \"0.0.0.0:2525\"\n\n",
        );
    } else {
        text.push_str(
            "# Programs on this machine hand their mail in here.\n[[listener]]\nlisten = \"localhost:2525\"\n\n",
        );
    }
    text.push_str("[[client]]\n");
    line(&mut text, "name", &if plan.is_reachable { "devices" } else { "this-machine" }.into());
    line(&mut text, "networks", &plan.networks.iter().map(String::as_str).collect());
    line(&mut text, "accounts", &std::iter::once(plan.account.as_str()).collect());
    text.push_str("# From and reverse path become the mailbox, as the provider wants it.\nsender = \"rewrite\"\n");
    text
}

fn line(text: &mut String, key: &str, value: &Value) {
    // A String takes whatever is written into it.
    let _ = writeln!(text, "{key} = {}", value.to_string().trim());
}
