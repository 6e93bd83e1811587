//! Programs that send by `sendmail`, or by SMTP in their own way, against the practice tenant.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::Program;

const TO: &str = "carol@elsewhere.example";
const FROM: &str = "scanner@practice.example";

/// What a program is started with: the folder, `sendmail`, and the gateway's port.
struct Place<'a> {
    folder: &'a Path,
    sendmail: &'a Path,
    port: u16,
}

/// Runs a command of the shell that must succeed.
fn shell(place: &Place<'_>, command: &str, input: &str) {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(place.folder)
        .env("HOME", place.folder)
        .env("SENDMAIL", place.sendmail)
        .env("PORT", place.port.to_string())
        .env("FROM", FROM)
        .env("TO", TO)
        .env("OXPOST_SERVER", format!("127.0.0.1:{}", place.port))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{command}: {status}");
}

#[test]
fn programs_of_all_ages_hand_in_their_mail() {
    let program = Program::start("[alias]\nroot = \"it@own.example\"\n");
    let folder = program.folder.path();
    let sendmail: PathBuf = folder.join("sendmail");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_oxpost"), &sendmail).unwrap();
    let place = Place { folder, sendmail: &sendmail, port: program.port };
    std::fs::write(folder.join("file.bin"), [0, 13, 10, 46, 255]).unwrap();
    let mutt = format!(
        "mutt -n -F /dev/null -e \"set sendmail='$SENDMAIL -oem -oi'; set from={FROM}; set use_from; set copy=no\" \
         -s mutt -a file.bin -- {TO}"
    );
    let s_nail = format!("s-nail -n -S v15-compat -S mta=$SENDMAIL -S from={FROM} -s s-nail {TO}");
    let php = format!(
        "php -d sendmail_path=\"$SENDMAIL -t -i\" -r 'exit(mail(\"{TO}\", \"php\", stream_get_contents(STDIN), \"From: {FROM}\") ? 0 : 1);'"
    );
    // Perl takes `@practice` in a text for a list.
    let perl = "perl -MNet::SMTP -e '$s = Net::SMTP->new(q(127.0.0.1), Port => $ENV{PORT}) or die; $s->mail($ENV{FROM}); \
                $s->to($ENV{TO}); $s->data(\"From: $ENV{FROM}\\nTo: $ENV{TO}\\nSubject: perl\\n\\n\", <STDIN>) or die; $s->quit'"
        .to_owned();
    let cron = "$SENDMAIL -FCronDaemon -i -B8BITMIME -oem -t -f root".to_owned();
    let rows: [(&str, String, &str, &str); 5] = [
        ("mutt", mutt, "Text\n.\nend\n", TO),
        ("s-nail", s_nail, "Text\n.\nend\n", TO),
        ("php", php, "Text\n.\nend\n", TO),
        ("perl", perl, "Text\n.\nend\n", TO),
        ("cron", cron, "From: root (Cron Daemon)\nTo: root\nSubject: cron\n\nText\n.\nend\n", "it@own.example"),
    ];
    for (number, (name, command, input, to)) in rows.into_iter().enumerate() {
        shell(&place, &command, input);
        let mail = program.arrived(number as u64 + 1);
        let mail = &mail[number];
        assert_eq!((mail.subject().as_str(), &mail.recipients[..]), (name, &[to.to_owned()][..]), "{name}");
        let text = String::from_utf8_lossy(&mail.raw).into_owned();
        assert!(text.contains("Text\r\n.\r\nend\r\n"), "{name}: {text}");
    }
    assert_eq!(program.tenant.findings(), []);
}
