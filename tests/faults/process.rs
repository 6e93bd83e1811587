//! Rows 8, 9, 10, 11, 23, 73: the process is stopped, told to end, kept from its folder, out of descriptors, or talks to a log
//! that does not listen.

use std::io::Read;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use oxpost::practice::{DotFault, Fault, Rule};

use crate::rig::{BILLING, Client, Rig, SCANNER, letter};
use crate::support::{Process, wait_for_port, wait_until};

#[test]
fn a_gateway_that_was_stopped_in_the_middle_goes_on_and_sends_nothing_twice() {
    let rig = Rig::new("sigstop", |text| text);
    let gateway = rig.serve();
    rig.tenant.switches().inject(Rule::once(Fault::EndOfData(DotFault::Late(Duration::from_secs(1)))));
    let mut open = rig.client();
    assert!(open.say(&format!("MAIL FROM:<{SCANNER}>")).unwrap().starts_with("250"));
    rig.send(SCANNER, "under way");
    rig.send(BILLING, "by the other way");
    wait_until("the provider has it", || (rig.copies("under way") > 0).then_some(()));
    gateway.signal("STOP");
    // The provider's answer comes, and a client, while nobody is there.
    let port = rig.port;
    let waiting = std::thread::spawn(move || {
        let mut client = Client::connect(port).unwrap();
        client.reply().unwrap();
        assert!(client.say("EHLO rig.test").unwrap().starts_with("250"));
        client.hand_in(SCANNER, &letter(SCANNER, "while it stood still")).unwrap()
    });
    std::thread::sleep(Duration::from_secs(3));
    assert!(!waiting.is_finished());
    gateway.signal("CONT");
    let reply = waiting.join().unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    assert!(open.say("RCPT TO:<carol@elsewhere.example>").unwrap().starts_with("250"), "open sessions go on");
    for subject in ["under way", "by the other way", "while it stood still"] {
        rig.arrives_once(subject);
    }
}

#[test]
fn told_to_end_it_finishes_what_is_open_and_takes_nothing_new() {
    let rig = Rig::new("sigterm", |text| text);
    let mut gateway = rig.serve();
    let (mut idle, mut busy) = (rig.client(), rig.client());
    for (line, expected) in
        [(format!("MAIL FROM:<{SCANNER}>"), "250"), ("RCPT TO:<c@d.example>".into(), "250"), ("DATA".into(), "354")]
    {
        assert!(busy.say(&line).unwrap().starts_with(expected));
    }
    busy.write("Subject: in the middle\r\n").unwrap();
    gateway.signal("TERM");
    assert!(idle.reply().unwrap().starts_with("421"), "who is idle is told to come again");
    let (status, why) = rig.get("/readyz").unwrap();
    assert_eq!(status, 503, "a balancer sends nobody here any more");
    assert!(why.contains("stopping"), "{why}");
    wait_until("nobody new is let in", || TcpStream::connect(("127.0.0.1", rig.port)).is_err().then_some(()));
    busy.write("\r\nText\r\n").unwrap();
    let reply = busy.say(".").unwrap();
    assert!(reply.starts_with("250"), "the open message comes to its end: {reply}");
    assert!(gateway.ended(), "it ends in order");
    let _gateway = rig.serve();
    rig.arrives_once("in the middle");
}

#[test]
fn told_to_end_twice_it_ends_at_once_and_loses_nothing() {
    let rig = Rig::new("sigterm-twice", |text| text);
    let mut gateway = rig.serve();
    rig.tenant.switches().inject(Rule::always(Fault::EndOfData(DotFault::Late(Duration::from_secs(3_600)))));
    let mut busy = rig.client();
    assert!(busy.say(&format!("MAIL FROM:<{SCANNER}>")).unwrap().starts_with("250"));
    rig.send(SCANNER, "under way");
    wait_until("the provider has it", || (rig.copies("under way") > 0).then_some(()));
    gateway.signal("TERM");
    wait_until("it stops", || rig.log().contains("stopping: open messages").then_some(()));
    gateway.signal("TERM");
    gateway.ended();
    rig.tenant.switches().clear_faults();
    let _gateway = rig.serve();
    wait_until("it goes again: nobody knew the answer", || (rig.copies("under way") == 2).then_some(()));
    wait_until("the queue is empty", || rig.queue().contains("the queue is empty").then_some(()));
}

#[test]
fn while_a_command_has_the_data_folder_the_gateway_waits_for_it() {
    let rig = Rig::new("folder-taken", |text| text);
    std::fs::create_dir(rig.ground.path("data")).unwrap();
    let command = std::fs::File::create(rig.ground.path("data/lock")).unwrap();
    command.lock().unwrap();
    let mut list = rig.oxpost(&["queue", "list"]).stdout(Stdio::null()).spawn().unwrap();
    let mut second = Process::start(&rig.ground, "gateway", &rig.oxpost(&["serve"]));
    wait_until("it waits", || rig.log().contains("waiting for the data folder").then_some(()));
    second.signal("TERM");
    assert!(second.ended(), "it stops in order while it waits, too");
    let mut gateway = Process::start(&rig.ground, "gateway", &rig.oxpost(&["serve"]));
    wait_until("it waits again", || (rig.log().matches("waiting for the data folder").count() == 2).then_some(()));
    assert!(list.try_wait().unwrap().is_none(), "another command waits, too");
    drop(command);
    wait_for_port(&mut gateway, rig.port);
    assert!(list.wait().unwrap().success());
    rig.send(SCANNER, "after the command");
    rig.arrives_once("after the command");

    let mut beside = Process::start(&rig.ground, "beside", &rig.oxpost(&["serve"]));
    assert!(!beside.ended(), "nobody waits for ever");
    let said = rig.ground.read("beside.log");
    assert!(said.contains("in use by another oxpost") && said.contains("stop the other one"), "{said}");
    rig.send(SCANNER, "by the first one");
    rig.arrives_once("by the first one");
}

#[test]
fn told_to_end_while_it_starts_it_damages_nothing() {
    let rig = Rig::new("sigterm-at-start", |text| text);
    for pause in [0, 2, 5, 10, 20, 40, 80, 160] {
        let mut gateway = Process::start(&rig.ground, "gateway", &rig.oxpost(&["serve"]));
        std::thread::sleep(Duration::from_millis(pause));
        gateway.signal("TERM");
        gateway.ended();
    }
    let _gateway = rig.serve();
    rig.send(SCANNER, "after all that");
    rig.arrives_once("after all that");
}

#[test]
fn out_of_descriptors_it_waits_without_a_spin_and_serves_again_when_there_are() {
    let rig = Rig::new("descriptors", |text| text);
    let mut gateway = rig.serve_by(&rig.oxpost_under(&["prlimit", "--nofile=64:64"], &["serve"]));
    rig.send(SCANNER, "before");
    rig.arrives_once("before");
    let crowd: Vec<_> = (0..200).filter_map(|_| TcpStream::connect(("127.0.0.1", rig.port)).ok()).collect();
    assert!(crowd.len() > 64, "the kernel takes more than the gateway can");
    wait_until("it says so", || rig.log().contains("cannot accept a connection").then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    let said = rig.log().matches("cannot accept a connection").count();
    assert!(said < 100, "{said} lines in a few seconds are a spin");
    gateway.assert_runs();
    drop(crowd);
    wait_until("it serves again", || {
        let mut client = Client::connect(rig.port).ok()?;
        client.reply().ok().filter(|reply| reply.starts_with("220")).map(drop)
    });
    wait_until("it takes mail again", || rig.hand_in(SCANNER, "after").starts_with("250").then_some(()));
    wait_until("`after` arrives", || (rig.copies("after") > 0).then_some(()));
}

#[test]
fn a_log_that_nobody_reads_or_that_is_gone_stops_no_mail() {
    for gone in [false, true] {
        let rig = Rig::new("deaf-log", |text| text.replace("[admin]", "[log]\nlevel = \"debug\"\n\n[admin]"));
        let mut command = rig.oxpost(&["serve"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = child.stderr.take();
        // Nothing is read of it from here on; a pipe holds 64 kB.
        let mut first = [0; 1];
        log.as_mut().unwrap().read_exact(&mut first).unwrap();
        if gone {
            log = None;
        }
        let mut done = 0;
        let hundreds = [100, 200, 300, 400, 500];
        for count in hundreds {
            wait_until(&format!("{count} messages are taken"), || {
                let mut client = Client::connect(rig.port).ok()?;
                client.reply().ok()?;
                client.say("EHLO rig.test").ok()?;
                while done < count {
                    let reply = client.hand_in(SCANNER, &letter(SCANNER, &format!("n{done}"))).ok()?;
                    assert!(reply.starts_with("250"), "{reply}");
                    done += 1;
                }
                Some(())
            });
        }
        for count in hundreds {
            wait_until(&format!("{count} have arrived"), || (rig.tenant.mail_count() >= count).then_some(()));
        }
        drop(log);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_configuration_that_is_broken_at_a_reload_leaves_the_old_one_in_use() {
    let rig = Rig::new("broken-reload", |text| text);
    let gateway = rig.serve();
    let good = rig.ground.read("oxpost.toml");
    rig.ground.write("oxpost.toml", good.replace("[[client]]", "[[clint]]"));
    gateway.signal("HUP");
    wait_until("the log says so", || rig.log().contains("the old one stays in use").then_some(()));
    assert!(rig.log().contains("clint"), "it says what: {}", rig.log());
    rig.send(SCANNER, "as before");
    wait_until("it arrives", || (rig.copies("as before") > 0).then_some(()));
    rig.ground.write("oxpost.toml", good);
    gateway.signal("HUP");
    wait_until("it is mended", || rig.log().contains("reloaded: clients").then_some(()));
}
