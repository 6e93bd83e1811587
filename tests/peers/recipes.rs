//! The recipes of docs/clients. What stands there as `run` is taken from its page and run as it stands, but for names,
//! ports and passwords; each hands in one message.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oxpost::account::password;
use oxpost::secret::Secret;

use crate::program::Program;
use crate::support::{Ground, Process, free_port, run, wait_until};

const TO: &str = "jean@example.com";
const SECRET: &str = "only known here";
const MAIL: &str = "From: erp@contoso.com\nTo: jean@example.com\nSubject: Order 4711\n\nThank you.\n";

/// A fenced block of a page.
struct Block {
    page: String,
    language: String,
    /// It is to be run.
    runs: bool,
    /// It is a file of this name.
    file: Option<String>,
    text: String,
}

fn blocks() -> Vec<Block> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let mut blocks = Vec::new();
    for path in pages {
        let (page, text) = (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path));
        for fenced in text.unwrap().split("```").skip(1).step_by(2) {
            let (head, text) = fenced.split_once('\n').unwrap();
            let words: Vec<&str> = head.split(' ').collect();
            let file = words.iter().find_map(|word| word.strip_prefix("file=")).map(str::to_owned);
            let runs = words.contains(&"run");
            let language = words[0].to_owned();
            blocks.push(Block { page: page.clone(), language, runs, file, text: text.to_owned() });
        }
    }
    blocks
}

/// A gateway for the recipes.
struct Kitchen {
    program: Program,
    /// Offers STARTTLS; lets in by network or login.
    port: u16,
    /// The page's host and port.
    page: String,
}

impl Kitchen {
    fn open() -> Self {
        let (hash, port) = (password::hash(&Secret::new(SECRET)).unwrap(), free_port());
        let program = Program::start(&format!(
            "[tls]\nnames = [\"localhost\"]\n[[listener]]\nlisten = \"127.0.0.1:{port}\"\ntls = \"starttls\"\n\
             [[client]]\nname = \"erp\"\nlogin = \"erp\"\npassword = \"{hash}\"\naccounts = [\"a\"]\n\
             [[api_key]]\nname = \"erp\"\nsecret = \"{hash}\"\nscopes = [\"send\"]\nclient = \"erp\"\n"
        ));
        let config = program.folder.path().join("oxpost.toml");
        let link = run(Command::new(env!("CARGO_BIN_EXE_oxpost")).arg("page").arg("--config").arg(config));
        let page = link.split('/').nth(2).unwrap().to_owned();
        let kitchen = Self { program, port, page };
        kitchen.write("message.eml", MAIL);
        kitchen.write("order.pdf", "%PDF-1.4 no more than that\n");
        let ca = std::fs::read_to_string(kitchen.folder().join("data/certs/ca.pem")).unwrap();
        // The folder has the practice tenant's CA under this name, which nobody reads any more.
        kitchen.write("ca.pem", &ca);
        kitchen.write("mailrc", &format!("set sendmail={}\n", kitchen.sendmail().display()));
        kitchen.write(
            "0001-order.patch",
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: ERP <erp@contoso.com>\n\
             Date: Sat, 21 Nov 2026 08:00:00 +0000\nSubject: [PATCH] Order 4711\n\nThank you.\n---\n a | 1 +\n\n\
             diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n-- \n2.39.5\n",
        );
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_oxpost"), kitchen.sendmail()).unwrap();
        kitchen
    }

    fn folder(&self) -> &Path {
        self.program.folder.path()
    }

    fn sendmail(&self) -> PathBuf {
        self.folder().join("sendmail")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The text of a recipe with the names and ports of this place.
    fn adapted(&self, text: &str) -> String {
        text.replace("mailgate.contoso.com:8025", &self.page)
            .replace("mailgate.contoso.com", "localhost")
            .replace("2525", &self.port.to_string())
            .replace("/usr/sbin/sendmail", self.sendmail().to_str().unwrap())
    }

    /// Runs a block; it must succeed.
    fn cook(&self, block: &Block) {
        let text = self.adapted(&block.text);
        let mut command = match block.language.as_str() {
            "sh" => Command::new("sh"),
            "python" => Command::new("python3"),
            "perl" => Command::new("perl"),
            "php" => {
                let mut php = Command::new("php");
                php.arg("-d").arg(format!("sendmail_path={} -t -i", self.sendmail().display()));
                php
            }
            "java" => {
                let mut java = Command::new("java");
                let jars = "/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar";
                java.args(["--source", "17", "-cp", jars]);
                java
            }
            "csharp" => {
                let mut mono = Command::new("sh");
                mono.args(["-c", "mcs -out:recipe.exe \"$0\" && mono recipe.exe"]);
                mono
            }
            other => panic!("{}: nothing runs `{other}`", block.page),
        };
        let path = std::env::var("PATH").unwrap();
        command
            .arg(self.write("recipe", &text))
            .current_dir(self.folder())
            // Debian's git before any other: it has `send-email` beside it.
            .env("PATH", format!("/usr/bin:{path}"))
            .env("HOME", self.folder())
            .env("MAILRC", self.folder().join("mailrc"))
            .env("OXPOST_SERVER", format!("127.0.0.1:{}", self.port))
            .env("URL", format!("http://{}", self.page))
            .env("KEY", format!("erp.{SECRET}"))
            .env("PASSWORD", SECRET)
            .env("no_proxy", "*");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{}: {}\n{text}\n{said}", block.page, output.status);
    }

    /// The message that the recipe `what` handed in as the `count`th one.
    fn served(&self, count: u64, what: &str) {
        let mail = self.program.arrived(count).pop().unwrap();
        let text =
            mail_parser::MessageParser::default().parse(&mail.raw[..]).unwrap().body_text(0).unwrap().into_owned();
        assert_eq!(mail.recipients, [TO], "{what}");
        assert!(mail.subject().contains("Order 4711"), "{what}: {}", mail.subject());
        assert!(text.contains("Thank you."), "{what}: {text}");
    }
}

#[test]
fn every_recipe_that_can_be_run_hands_in_its_message() {
    let kitchen = Kitchen::open();
    let all = blocks();
    for file in all.iter().filter(|block| block.page == "cron.md") {
        if let Some(name) = &file.file {
            kitchen.write(name, &kitchen.adapted(&file.text));
        }
    }
    let runs: Vec<&Block> = all.iter().filter(|block| block.runs).collect();
    for page in ["cron.md", "dotnet.md", "http.md", "java.md", "perl.md", "php.md", "python.md"] {
        assert!(runs.iter().any(|block| block.page == page), "{page} has nothing to run");
    }
    for (count, block) in (1..).zip(&runs) {
        kitchen.cook(block);
        kitchen.served(count, &format!("{}: {}", block.page, block.text));
    }
    assert_eq!(kitchen.program.tenant.findings(), []);
}

/// A recipe that is a file, for this place.
fn file(kitchen: &Kitchen, name: &str) -> String {
    let all = blocks();
    let block = all.iter().find(|block| block.page == "downstream.md" && block.file.as_deref() == Some(name)).unwrap();
    kitchen.adapted(&block.text)
}

#[test]
fn postfix_hands_everything_to_its_smarthost() {
    let (kitchen, ground) = (Kitchen::open(), Ground::new("recipes-postfix"));
    let own = free_port();
    let folder = ground.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    ground.write(
        "etc/main.cf",
        format!(
            "compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/postfix\n\
             maillog_file = {folder}/postfix.log\nmaillog_file_prefixes = {folder}\nmyhostname = mx.own.example\n\
             mydestination =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nalias_maps =\nalias_database =\n\
             mynetworks = 127.0.0.0/8\n{}",
            file(&kitchen, "main.cf")
        ),
    );
    let master = include_str!("upstream/master.cf").replace("@smtp_port@", &own.to_string());
    let master = master.replace("@relay_port@", &free_port().to_string());
    ground.write("etc/master.cf", master + "smtp      unix  - - n -    - smtp\n");
    for name in ["queue", "postfix"] {
        std::fs::create_dir(ground.path(name)).unwrap();
    }
    run(Command::new("chown").arg("postfix").arg(ground.path("postfix")));
    let etc = ground.path("etc");
    run(Command::new("/usr/sbin/postfix").arg("-c").arg(&etc).arg("check"));
    let programs = run(Command::new("/usr/sbin/postconf").arg("-c").arg(&etc).args(["-h", "daemon_directory"]));
    let mut master = Process::start(
        &ground,
        "postfix-master",
        Command::new(Path::new(programs.trim()).join("master")).arg("-c").arg(&etc).arg("-d"),
    );
    crate::support::wait_for_port(&mut master, own);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--mail-from", "erp@contoso.com", "--mail-rcpt", TO, "--upload-file"]);
    run(curl.arg(ground.write("message.eml", MAIL)).arg(format!("smtp://127.0.0.1:{own}")));
    kitchen.served(1, "Postfix");
}

/// Where `./test` unpacked what cannot be installed beside Postfix.
fn unpacked(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers/unpacked").join(name);
    assert!(path.exists(), "{} is missing; ./test unpacks it", path.display());
    path
}

/// Runs a script in which folders may be mounted over others, and which gets a message.
fn with_own_mounts(script: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-e"]).arg(script);
    command
}

#[test]
fn exim_hands_everything_to_its_smarthost() {
    let (kitchen, ground) = (Kitchen::open(), Ground::new("recipes-exim"));
    let folder = ground.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/').to_owned();
    let exim = unpacked("usr/sbin/exim4");
    let config = ground.write(
        "exim.conf",
        format!(
            "primary_hostname = mx.own.example\nspool_directory = {folder}/spool\nlog_file_path = {folder}/exim-%slog\n\
             exim_path = {}\ndomainlist local_domains =\nkeep_environment =\n{}",
            exim.display(),
            file(&kitchen, "exim.conf")
        ),
    );
    // Its user is compiled in, and exists only where it is installed.
    let users = std::fs::read_to_string("/etc/passwd").unwrap() + "Debian-exim:x:64999:64999::/:/bin/false\n";
    let groups = std::fs::read_to_string("/etc/group").unwrap() + "Debian-exim:x:64999:\n";
    let (users, groups) = (ground.write("passwd", users), ground.write("group", groups));
    std::fs::create_dir(ground.path("spool")).unwrap();
    let script = ground.write(
        "run.sh",
        format!(
            "mount --bind {} /etc/passwd\nmount --bind {} /etc/group\nchown -R 64999:64999 {folder}/spool {folder}\n\
             chown 0:0 {}\nexec {} -C {} -odf -i -f erp@contoso.com {TO}\n",
            users.display(),
            groups.display(),
            config.display(),
            exim.display(),
            config.display()
        ),
    );
    let mut child = with_own_mounts(&script).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(MAIL.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{}", ground.read("exim-mainlog"));
    kitchen.served(1, "Exim");
}

#[test]
fn nullmailer_hands_everything_to_its_smarthost() {
    let (kitchen, ground) = (Kitchen::open(), Ground::new("recipes-nullmailer"));
    let folder = ground.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/').to_owned();
    ground.write("conf/remotes", file(&kitchen, "remotes"));
    ground.write("mailname", "mx.own.example\n");
    for name in ["queue", "tmp", "failed"] {
        std::fs::create_dir_all(ground.path("spool/nullmailer").join(name)).unwrap();
    }
    run(Command::new("mkfifo").arg(ground.path("spool/nullmailer/trigger")));
    let root = unpacked("usr");
    for (name, place) in [("sbin", "sbin"), ("bin", "bin"), ("protocols", "lib/nullmailer")] {
        std::os::unix::fs::symlink(root.join(place), ground.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("/var/spool/nullmailer", ground.path("queue")).unwrap();
    // Its folders are compiled in. All but the queue can be led elsewhere, as its own tests do.
    let script = ground.write(
        "run.sh",
        format!(
            "mount --bind {folder}/spool /var/spool\nexport NULLMAILER_TEST_PREFIX={folder}\n\
             {folder}/sbin/nullmailer-send &\nsender=$!\ntrap 'kill $sender; wait $sender' TERM\n\
             {folder}/bin/nullmailer-inject -f erp@contoso.com {TO} <{folder}/message.eml\nwait $sender\n"
        ),
    );
    ground.write("message.eml", MAIL);
    let command = with_own_mounts(&script);
    let mut process = Process::start(&ground, "nullmailer-run", &command);
    wait_until("nullmailer hands its message in", || {
        process.assert_runs();
        (kitchen.program.tenant.mail_count() > 0).then_some(())
    });
    kitchen.served(1, "nullmailer");
}
