//! `[directory]`: whose rights people are looked up with.

use super::fault::KeyPath;
use super::file::{Grant, Kind};
use super::providers::Services;
use super::reader::Reader;
use crate::directory::Settings;

/// Reads the section. `None`: nobody is looked up, or a fault stands in the way.
pub(super) fn read(reader: &mut Reader<'_>, services: &Services) -> Option<Settings> {
    let key = KeyPath::root().key("directory").key("account");
    let name = reader.file.directory.account.clone()?;
    if !reader.known_account(key.clone(), &name) {
        return None;
    }
    let typed = reader.file.account.get(&name)?;
    let service = services.get(typed.provider.as_deref()?)?;
    if service.kind != Kind::Microsoft {
        let cause = format!("people are looked up at Microsoft, and the account `{name}` is of another provider");
        reader.fault(key, cause, "name an account of a provider of the kind `microsoft`, or take the key out");
        return None;
    }
    let app_only = matches!(typed.grant, Grant::ClientCredentials | Grant::ManagedIdentity);
    service.graph_url.clone().map(|base| Settings { account: name, base, app_only })
}
