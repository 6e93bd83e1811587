//! No room on the disk: refused before the content, and nothing is half-accepted.

use oxpost::queue::Filter;

use crate::house::{House, Plan, RECIPIENT, SCANNER, letter};

const NO_ROOM: &str = "452 4.3.1 No room for more mail at the moment, try again later";

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_no_mail_is_taken_and_what_was_taken_goes_on() {
    let mut house = House::new().await;
    house.tenant.revoke(SCANNER);
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "held from before")).await;
    house.write(&Plan { tables: "[queue]\nreserve = \"9000000 GB\"\n".to_owned(), ..Plan::default() });
    house.restart().await;

    let mut client = house.client().await;
    assert_eq!(client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "x")).await, NO_ROOM);
    assert!(client.say(format!("MAIL FROM:<{SCANNER}>")).await.starts_with("250"), "the session lives on");
    assert!(client.say(format!("RCPT TO:<{RECIPIENT}>")).await.starts_with("250"));
    client.send("BDAT 6 LAST\r\nDATA\r\nNOOP\r\n").await;
    assert_eq!(client.reply().await, NO_ROOM);
    assert_eq!(client.reply().await, "250 2.0.0 OK", "the chunk was read as a chunk");
    assert_eq!(house.list(Filter::default()).await.len(), 1);
    assert_eq!(std::fs::read_dir(house.path("data/spool")).unwrap().count(), 0);

    house.sign_in("scanner").await;
    assert_eq!(house.only_one().await.subject(), "held from before", "what was accepted leaves all the same");

    house.write(&Plan::default());
    house.restart().await;
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "room again")).await;
    house.arrived(2).await;
}
