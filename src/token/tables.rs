//! Refresh tokens in the database, sealed.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::registration::{App, Generation, StoredGrant};
use super::seal::SealingKey;
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::store::{Migration, Store, StoreError};

/// The tables of this part.
pub const MIGRATIONS: &[Migration] = &[Migration {
    part: "token",
    version: 1,
    sql: "CREATE TABLE token (
              account    TEXT PRIMARY KEY,
              provider   TEXT NOT NULL,
              sealed     BLOB NOT NULL,
              generation INTEGER NOT NULL,
              updated    INTEGER NOT NULL
          ) WITHOUT ROWID",
}];

/// What is sealed. The token is a `Secret` when read, and borrowed from one when written.
#[derive(Serialize, Deserialize)]
struct Content<Token> {
    refresh_token: Token,
    client_id: String,
    token_server: String,
    name: Option<String>,
    import: Option<String>,
    /// Rows of the first version were sealed without it, and were in use.
    #[serde(default = "yes")]
    confirmed: bool,
    #[serde(default)]
    ends: Option<Timestamp>,
    #[serde(default)]
    used: Option<Timestamp>,
}

const fn yes() -> bool {
    true
}

/// A row, opened or not.
pub(super) struct Row {
    pub(super) account: String,
    pub(super) generation: Generation,
    /// The grant, or why the stored one cannot be used.
    pub(super) grant: Result<StoredGrant, String>,
}

/// All rows. One that cannot be opened concerns its account alone.
pub(super) async fn load(store: &Store, key: &SealingKey) -> Result<Vec<Row>, StoreError> {
    let key = key.clone();
    store
        .read(move |connection| {
            let mut statement = connection.prepare("SELECT account, sealed, generation, updated FROM token")?;
            let rows = statement.query_map([], |row| {
                let account: String = row.get(0)?;
                let sealed: Vec<u8> = row.get(1)?;
                let updated = Timestamp::from_millis(row.get(3)?);
                let grant = open(&key, &account, &sealed, updated);
                Ok(Row { account, generation: Generation(row.get(2)?), grant })
            })?;
            rows.collect()
        })
        .await
}

fn open(key: &SealingKey, account: &str, sealed: &[u8], updated: Timestamp) -> Result<StoredGrant, String> {
    let plain = key.open(account, sealed).map_err(|why| {
        format!("the stored refresh token of `{account}` cannot be opened with {}: {why}", key.source())
    })?;
    let content: Content<Secret> = serde_json::from_slice(&plain)
        .map_err(|_| format!("the stored refresh token of `{account}` was written by a newer oxpost"))?;
    Ok(StoredGrant {
        refresh_token: content.refresh_token,
        app: App { client_id: content.client_id, token_server: content.token_server },
        obtained: updated,
        used: content.used.unwrap_or(updated),
        name: content.name,
        confirmed: content.confirmed,
        ends: content.ends,
        import: content.import,
    })
}

/// A row to be written.
pub(super) struct Record {
    account: String,
    provider: String,
    sealed: Vec<u8>,
    generation: Generation,
    updated: Timestamp,
}

impl Record {
    /// Seals a grant; `None` if the cipher refuses.
    pub(super) fn seal(
        key: &SealingKey,
        account: &str,
        provider: &str,
        generation: Generation,
        grant: &StoredGrant,
    ) -> Option<Self> {
        let content = Content {
            refresh_token: grant.refresh_token.expose(),
            client_id: grant.app.client_id.clone(),
            token_server: grant.app.token_server.clone(),
            name: grant.name.clone(),
            import: grant.import.clone(),
            confirmed: grant.confirmed,
            ends: grant.ends,
            used: Some(grant.used),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&content).ok()?);
        Some(Self {
            account: account.to_owned(),
            provider: provider.to_owned(),
            sealed: key.seal(account, &plain).ok()?,
            generation,
            updated: grant.obtained,
        })
    }

    /// Writes the row, unless a newer generation is there already. Durable on `Ok`.
    pub(super) async fn save(self, store: &Store) -> Result<(), StoreError> {
        store.write(move |connection| self.upsert(connection)).await
    }

    fn upsert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO token (account, provider, sealed, generation, updated) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account) DO UPDATE
             SET provider = excluded.provider, sealed = excluded.sealed,
                 generation = excluded.generation, updated = excluded.updated
             WHERE excluded.generation >= token.generation",
        )?;
        statement.execute(params![
            self.account,
            self.provider,
            self.sealed,
            self.generation.0,
            self.updated.as_millis()
        ])?;
        Ok(())
    }
}

/// Seals every row anew that the key opens, all or none. Gives how many, and how many cannot be opened.
pub(super) async fn reseal(store: &Store, key: &SealingKey) -> Result<(usize, usize), StoreError> {
    let key = key.clone();
    store
        .write(move |connection| {
            let mut statement = connection.prepare("SELECT account, sealed FROM token")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows: Vec<(String, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
            let (mut sealed, mut closed) = (0, 0);
            for (account, old) in rows {
                match key.open(&account, &old).ok().and_then(|plain| key.seal(&account, &plain).ok()) {
                    Some(new) => {
                        connection.execute("UPDATE token SET sealed = ?2 WHERE account = ?1", params![account, new])?;
                        sealed += 1;
                    }
                    None => closed += 1,
                }
            }
            Ok((sealed, closed))
        })
        .await
}

/// Removes the grant of an account. Durable on `Ok`.
pub(super) async fn remove(store: &Store, account: &str) -> Result<(), StoreError> {
    let account = account.to_owned();
    store
        .write(move |connection| {
            connection.execute("DELETE FROM token WHERE account = ?1", params![account]).map(|_| ())
        })
        .await
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn key(octet: u8) -> SealingKey {
        SealingKey::from_base64(&Secret::new(STANDARD.encode([octet; 32])), "`$OXPOST_KEY`").unwrap()
    }

    fn grant(token: &str) -> StoredGrant {
        StoredGrant {
            refresh_token: Secret::new(token),
            app: App { client_id: "id".into(), token_server: "login.example".into() },
            obtained: Timestamp::from_millis(5),
            used: Timestamp::from_millis(6),
            name: Some("a@b.example".into()),
            confirmed: false,
            ends: Some(Timestamp::from_millis(7)),
            import: None,
        }
    }

    async fn save(store: &Store, account: &str, generation: i64, token: &str) {
        let record = Record::seal(&key(1), account, "contoso", Generation(generation), &grant(token)).unwrap();
        record.save(store).await.unwrap();
    }

    #[tokio::test]
    async fn grants_come_back_and_a_late_generation_does_not_overwrite_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), MIGRATIONS).unwrap();
        save(&store, "scanner", 2, "second").await;
        save(&store, "scanner", 1, "late").await;
        let rows = load(&store, &key(1)).await.unwrap();
        let found = rows[0].grant.as_ref().unwrap();
        assert_eq!((rows.len(), rows[0].generation, found.refresh_token.expose()), (1, Generation(2), "second"));
        assert_eq!((found.app.clone(), found.name.as_deref()), (grant("").app, Some("a@b.example")));
        assert_eq!((found.confirmed, found.ends), (false, Some(Timestamp::from_millis(7))));
        assert_eq!((found.obtained, found.used), (Timestamp::from_millis(5), Timestamp::from_millis(6)));
        save(&store, "scanner", 2, "rotated").await;
        let rows = load(&store, &key(1)).await.unwrap();
        assert_eq!(rows[0].grant.as_ref().unwrap().refresh_token.expose(), "rotated");
    }

    #[tokio::test]
    async fn a_row_of_another_key_says_so_and_the_rest_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), MIGRATIONS).unwrap();
        save(&store, "scanner", 1, "token").await;
        let record = Record::seal(&key(2), "other", "contoso", Generation(1), &grant("x")).unwrap();
        record.save(&store).await.unwrap();
        let rows = load(&store, &key(1)).await.unwrap();
        let why = |account: &str| rows.iter().find(|row| row.account == account).unwrap().grant.as_ref().err();
        assert_eq!(why("scanner"), None);
        let expected =
            "the stored refresh token of `other` cannot be opened with `$OXPOST_KEY`: it was sealed with another key";
        assert_eq!(why("other").map(String::as_str), Some(expected));
    }
}
