//! One process owns a data folder, and a program that does not know its form leaves it alone.

use oxpost::gateway::{LockError, StartError};

use crate::house::{House, RECIPIENT, SCANNER, letter};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_one_data_folder_is_refused_and_the_first_one_goes_on() {
    let mut house = House::new().await;
    let first = house.take_gateway();
    match house.try_open().await {
        Err(StartError::Open(error)) => {
            assert!(error.is_lock(LockError::Taken), "{error}");
            assert!(error.to_string().contains("is in use by another oxpost"), "{error}");
        }
        other => panic!("{:?}", other.err()),
    }
    let address = first.addresses()[0];
    let mut client = crate::client::Client::connect(address).await.greeted().await;
    let reply = client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "the first one")).await;
    assert!(reply.starts_with("250"), "{reply}");
    house.only_one().await;
    first.stop().await;
    house.open().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_of_a_newer_program_is_refused_and_left_as_it_is() {
    let mut house = House::new().await;
    house.stop().await;
    let database = house.path("data/oxpost.db");
    let version = |part: &str| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.query_row("SELECT version FROM part WHERE name = ?1", [part], |row| row.get::<_, u32>(0)).unwrap()
    };
    for part in ["queue", "token"] {
        let known = version(part);
        let set = |version: u32| {
            let connection = rusqlite::Connection::open(&database).unwrap();
            let sql = "UPDATE part SET version = ?2 WHERE name = ?1";
            assert_eq!(connection.execute(sql, (part, version)).unwrap(), 1);
        };
        set(known + 1);
        let why = house.open().await.unwrap_err().to_string();
        let said = format!("its part `{part}` has version {}, this program knows {known}", known + 1);
        assert!(why.contains("oxpost.db") && why.contains(&said), "{why}");
        assert!(why.contains("install the newer oxpost again"), "what to do: {why}");
        assert_eq!(version(part), known + 1, "untouched");
        set(known);
    }
    house.open().await.unwrap();
}
