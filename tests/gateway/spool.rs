//! The spool folder as somebody else may have left it.

use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;

use oxpost::mail::{Event, Reason};
use oxpost::practice::{Fault, GreetingFault, Rule};
use oxpost::queue::State;

use crate::house::{House, Plan, RECIPIENT, SCANNER, letter};

/// Content beyond 1 kB goes to files.
async fn house() -> House {
    House::start(Plan { tables: "[queue]\ninline = \"1 kB\"\n".to_owned(), ..Plan::default() }).await
}

fn large(subject: &str) -> String {
    letter(SCANNER, RECIPIENT, subject) + &"A line of the attachment.\r\n".repeat(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planted_in_the_spool_is_left_alone() {
    let mut house = house().await;
    house.stop().await;
    let spool = house.path("data/spool");
    let elsewhere = house.path("elsewhere");
    std::fs::write(&elsewhere, "not ours").unwrap();
    let id = "01a1fd06a81775b5b0e0f09fd9166f08";
    let link = spool.join(format!("{id}.body"));
    symlink(&elsewhere, &link).unwrap();
    let fifo = spool.join("01a1fd06a81775b5b0e0f09fd9166f09.body");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let foreign = spool.join("notes.txt");
    std::fs::write(&foreign, "somebody's").unwrap();
    let dangling = spool.join("01a1fd06a81775b5b0e0f09fd9166f0a.part");
    symlink(house.path("nowhere"), &dangling).unwrap();

    house.open().await.unwrap();
    house.send(SCANNER, &[RECIPIENT], large("beside them")).await;
    house.only_one().await;
    assert!(link.is_symlink() && dangling.is_symlink() && foreign.is_file());
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "not ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_replaced_by_a_link_is_not_sent() {
    for planted in ["a link", "another size", "nothing"] {
        let mut house = house().await;
        house.tenant.switches().inject(Rule::always(Fault::Greeting(GreetingFault::Refused)));
        let id = house.send(SCANNER, &[RECIPIENT], large("replaced")).await;
        let deferred = |event: &Event| matches!(event, Event::Deferred { .. }).then_some(());
        house.events.first("the message waits", deferred).await;
        house.stop().await;
        let spool = house.path("data/spool");
        let file = std::fs::read_dir(&spool).unwrap().next().unwrap().unwrap().path();
        let size = std::fs::metadata(&file).unwrap().len();
        std::fs::remove_file(&file).unwrap();
        let secret = house.path("secret");
        std::fs::write(&secret, "s".repeat(usize::try_from(size).unwrap())).unwrap();
        match planted {
            "a link" => symlink(&secret, &file).unwrap(),
            "another size" => std::fs::write(&file, "short").unwrap(),
            _ => {}
        }
        house.tenant.switches().clear_faults();
        house.clock.advance(std::time::Duration::from_secs(120));
        house.open().await.unwrap();
        let failed =
            |event: &Event| if let Event::Failed { failure, .. } = event { Some(failure.reason) } else { None };
        assert_eq!(house.events.first("it fails", failed).await, Reason::BodyDamaged, "{planted}");
        assert_eq!(house.show(id).await.summary.state, State::Failed, "{planted}");
        let report = house.only_one().await;
        assert_eq!(report.recipients, [SCANNER], "{planted}: its sender is told");
        assert!(!String::from_utf8_lossy(&report.raw).contains("sss"), "{planted}");
    }
}
