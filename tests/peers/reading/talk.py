"""Talks IMAP and POP3 to a server, for the tests of reading.

usage: talk.py WHAT PORT LOGIN PASSWORD [CA] [MORE...]

WHAT is one of
  imap       every message of INBOX by imaplib, one line of base64 each; CA: over TLS
  starttls   the same, TLS begun by STARTTLS
  pop        every message by poplib, one line of base64 each; CA: over TLS
  stls       the same, TLS begun by STLS
  append     puts the message on standard input into INBOX
  idle       waits in IDLE until MORE[0] is created as a flag file by us; prints the untagged answers that came
  digest     SHA-256 and octets of every message of INBOX
  unseen     how many messages of INBOX were not read
"""

import base64
import hashlib
import imaplib
import poplib
import ssl
import sys

what, port, login, password, *rest = sys.argv[1:]
ca, *more = rest or [""]
port = int(port)
poplib._MAXLINE = 1 << 20


def context():
    made = ssl.create_default_context(cafile=ca)
    made.check_hostname = False  # the tests' certificates are for names, the tests connect to addresses
    return made


def open_imap():
    if what == "starttls":
        imap = imaplib.IMAP4("127.0.0.1", port)
        imap.starttls(context())
    elif ca:
        imap = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context())
    else:
        imap = imaplib.IMAP4("127.0.0.1", port)
    imap.login(login, password)
    return imap


def messages(imap):
    _, (count,) = imap.select(readonly=True)
    for number in range(1, int(count) + 1):
        _, ((_, message), *_) = imap.fetch(str(number), "(BODY.PEEK[])")
        yield message


if what in ("imap", "starttls"):
    imap = open_imap()
    for message in messages(imap):
        print(base64.b64encode(message).decode())
    imap.logout()
elif what in ("pop", "stls"):
    if what == "stls":
        pop = poplib.POP3("127.0.0.1", port)
        pop.stls(context())
    elif ca:
        pop = poplib.POP3_SSL("127.0.0.1", port, context=context())
    else:
        pop = poplib.POP3("127.0.0.1", port)
    pop.user(login)
    pop.pass_(password)
    for number in range(1, pop.stat()[0] + 1):
        print(base64.b64encode(b"\r\n".join(pop.retr(number)[1]) + b"\r\n").decode())
    pop.quit()
elif what == "append":
    imap = open_imap()
    status, answer = imap.append("INBOX", None, None, sys.stdin.buffer.read())
    assert status == "OK", answer
    imap.logout()
elif what == "idle":
    imap = open_imap()
    imap.select()
    imap.send(b"x IDLE\r\n")
    line = imap.readline()
    assert line.startswith(b"+"), line
    print("idling", flush=True)
    while True:
        line = imap.readline()
        if not line:
            sys.exit("closed while idling")
        print(line.decode().strip(), flush=True)
        if b"EXISTS" in line:
            break
    imap.send(b"DONE\r\n")
    while not line.startswith(b"x "):
        line = imap.readline()
    assert line.startswith(b"x OK"), line
    imap.logout()
elif what == "digest":
    imap = open_imap()
    for message in messages(imap):
        print(hashlib.sha256(message).hexdigest(), len(message))
    imap.logout()
elif what == "unseen":
    imap = open_imap()
    imap.select(readonly=True)
    print(len(imap.search(None, "UNSEEN")[1][0].split()))
    imap.logout()
else:
    sys.exit(__doc__)
