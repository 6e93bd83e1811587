//! `oxpost backup` beside a running gateway, and what a restored copy does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use oxpost::gateway::backup;
use oxpost::mail::Event;
use oxpost::practice::{Fault, GreetingFault, Rule};
use oxpost::queue::State;

use crate::client::Client;
use crate::house::{House, Plan, RECIPIENT, SCANNER, letter};

/// Content beyond 1 kB goes to files.
async fn house() -> House {
    House::start(Plan {
        tables: "[queue]\ninline = \"1 kB\"\n[limits]\nmessages_per_minute = 0\n".to_owned(),
        ..Plan::default()
    })
    .await
}

fn large(subject: &str) -> String {
    letter(SCANNER, RECIPIENT, subject) + &"A line of the attachment.\r\n".repeat(200)
}

/// The data folder is lost, and the copy takes its place.
async fn restore(house: &mut House, copy: &Path) {
    house.stop().await;
    std::fs::remove_dir_all(house.path("data")).unwrap();
    std::fs::rename(copy, house.path("data")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_under_load_holds_every_message_that_was_accepted_before() {
    let mut house = house().await;
    house.tenant.switches().inject(Rule::always(Fault::Greeting(GreetingFault::Refused)));
    let mut before = Vec::new();
    for number in 0..6 {
        let subject = format!("before {number}");
        let content = if number % 2 == 0 { large(&subject) } else { letter(SCANNER, RECIPIENT, &subject) };
        before.push(house.send(SCANNER, &[RECIPIENT], content).await);
    }
    let address = house.listener(0);
    let load = tokio::spawn(async move {
        let mut client = Client::connect(address).await.greeted().await;
        for number in 0..40 {
            let content = large(&format!("meanwhile {number}"));
            assert!(client.hand_in(SCANNER, &[RECIPIENT], content).await.starts_with("250"));
        }
    });
    let (config, copy) = (house.config(), house.path("copy"));
    let target = copy.clone();
    let copied = tokio::task::spawn_blocking(move || backup(&config, &target, true)).await.unwrap().unwrap();
    load.await.unwrap();
    assert!(copied.outstanding >= 6 && copied.files >= 3, "{copied:?}");
    assert_eq!(copied.missing, Vec::<String>::new());

    restore(&mut house, &copy).await;
    house.tenant.switches().clear_faults();
    // An attempt that was open when the copy was made counts as unknown from the first start on, and waits.
    house.open().await.unwrap();
    house.stop().await;
    house.clock.advance(Duration::from_secs(3600));
    house.open().await.unwrap();
    let arrived = house.arrived(copied.outstanding).await;
    let subjects: Vec<String> = arrived.iter().map(|mail| mail.subject().to_owned()).collect();
    for number in 0..6 {
        assert!(subjects.contains(&format!("before {number}")), "{subjects:?}");
    }
    for id in before {
        house.relayed(id).await;
        assert_eq!(house.show(id).await.summary.state, State::Relayed, "its history came along");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_keys_a_backup_opens_no_account_and_mail_waits_for_a_sign_in() {
    let mut house = house().await;
    let copy = house.path("copy");
    backup(&house.config(), &copy, false).unwrap();
    for (name, mode) in [("", 0o700), ("spool", 0o700), ("oxpost.db", 0o600)] {
        let found = std::fs::metadata(copy.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "`{name}` is for its owner alone");
    }
    let names: Vec<_> = std::fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no key, no certificate: {names:?}");

    restore(&mut house, &copy).await;
    house.open().await.unwrap();
    let id = house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "after")).await;
    let held = |event: &Event| matches!(event, Event::Held { .. }).then_some(());
    house.events.first("it is held", held).await;
    house.sign_in("scanner").await;
    house.relayed(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_into_a_new_folder_elsewhere_or_nowhere() {
    let house = house().await;
    let there = house.path("there");
    std::fs::create_dir(&there).unwrap();
    let table = [
        (there.clone(), "is there already"),
        (house.path("data/copy"), "is within the data folder"),
        (house.path("nowhere/copy"), "cannot be copied or made"),
    ];
    for (to, why) in table {
        let error = backup(&house.config(), &to, true).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);
    assert!(!house.path("data/copy").exists() && !house.path("data/copy.part").exists());
}
