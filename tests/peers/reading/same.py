"""Plays one random stream of IMAP commands to two servers and compares what they answer, octet by octet.

usage: same.py SEED ROUNDS PORT LOGIN PASSWORD PORT LOGIN PASSWORD

Both mailboxes must begin alike. What differs by nature is made alike before the comparison: times that commands took,
UIDVALIDITY, the words of the login. The stream is in the manner of Dovecot's ImapTest: pipelined commands, literals of
both kinds, IDLE, APPEND, FETCH of large and binary parts, cut into pieces of any size. A server may work on pipelined
commands side by side, so the answers to a group of them are compared whatever their order; APPEND stands alone.
"""

import random
import re
import socket
import sys

seed, rounds = int(sys.argv[1]), int(sys.argv[2])
servers = [(int(sys.argv[at]), sys.argv[at + 1], sys.argv[at + 2]) for at in (3, 6)]


class Talk:
    def __init__(self, port, login, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.unread = b""
        self.heard = b""
        self.units = []
        self.until(b"\r\n")
        self.heard = b""
        self.send(b'in LOGIN "%s" "%s"\r\n' % (login.encode(), password.encode()), 1 << 20)
        self.until_tag(b"in")
        self.heard, self.units = b"", []

    def send(self, octets, piece):
        for at in range(0, len(octets), piece):
            self.socket.sendall(octets[at : at + piece])

    def more(self):
        octets = self.socket.recv(1 << 16)
        assert octets, "closed after %r" % self.heard[-200:]
        self.unread += octets

    def until(self, end):
        while end not in self.unread:
            self.more()
        at = self.unread.index(end) + len(end)
        self.heard += self.unread[:at]
        self.unread = self.unread[at:]

    def line(self):
        """One line with the literals in it."""
        begin = len(self.heard)
        while True:
            self.until(b"\r\n")
            literal = re.search(rb"\{(\d+)\}\r\n$", self.heard[-40:])
            if not literal:
                unit = self.heard[begin:]
                self.units.append(unit)
                # Of what was heard only the counts are looked at again.
                self.heard = self.heard[:begin] + (unit if len(unit) < 200 else b"")
                return unit
            count = int(literal.group(1))
            while len(self.unread) < count:
                self.more()
            self.heard += self.unread[:count]
            self.unread = self.unread[count:]

    def until_tags(self, tags):
        left = set(tags)
        while left:
            left.discard(self.line().split(b" ", 1)[0])

    def until_tag(self, tag):
        while not self.line().startswith(tag + b" "):
            pass


def body(dice):
    kind = dice.choice(("text", "binary", "long"))
    head = b"From: a@x.test\r\nTo: b@x.test\r\nSubject: %d\r\n" % dice.randrange(10**9)
    if kind == "text":
        lines = [bytes(dice.choices(b"abc .*)({}\"\\%~", k=dice.randrange(120))) for _ in range(dice.randrange(200))]
        return head + b"\r\n" + b"\r\n".join(lines) + b"\r\n"
    if kind == "long":
        return head + b"\r\n" + b"x" * dice.randrange(300_000) + b"\r\na OK not a tag\r\n"
    octets = bytes(dice.choices([n for n in range(1, 256) if n not in (10, 13)], k=dice.randrange(5_000)))
    head += b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n"
    return head + b"\r\n" + octets + b"\r\n"


def command(dice, tag, count):
    """Octets of a command, and whether it waits for a `+`."""
    some = b"%d:%d" % tuple(sorted(dice.choices(range(1, max(count, 1) + 1), k=2)))
    simple = [
        b"NOOP",
        b"CHECK",
        b"CAPABILITY",
        b"STATUS INBOX (MESSAGES UIDNEXT UNSEEN)",
        b'LIST "" "*"',
        b"SEARCH ALL",
        b"SEARCH TEXT abc",
        b"FETCH " + some + b" (UID FLAGS RFC822.SIZE)",
        b"FETCH " + some + b" BODY.PEEK[]",
        b"FETCH " + some + b" (ENVELOPE BODYSTRUCTURE)",
        b"FETCH " + some + b" BINARY.PEEK[1]",
        b"UID FETCH 1:* BODY.PEEK[TEXT]<%d.%d>" % (dice.randrange(1000), dice.randrange(1, 100_000)),
        b"STORE " + some + b" +FLAGS (\\Seen)",
        b"STORE " + some + b" -FLAGS.SILENT (\\Seen \\Flagged)",
        b"COPY " + some + b" Archive",
        b"FROB",
        b"STATUS Nowhere (MESSAGES)",
    ]
    kind = dice.random()
    if kind < 0.75:
        return tag + b" " + dice.choice(simple) + b"\r\n", None
    if kind < 0.9:
        message = body(dice)
        return tag + b" APPEND INBOX {%d+}\r\n%s\r\n" % (len(message), message), None
    message = body(dice)
    return tag + b" APPEND INBOX (\\Seen) {%d}\r\n" % len(message), message + b"\r\n"


def play(talk):
    dice = random.Random(seed)
    talk.send(b"s1 CREATE Archive\r\ns2 SELECT INBOX\r\n", 7)
    talk.until_tag(b"s2")
    for turn in range(rounds):
        piece = dice.choice((1, 3, 50, 1000, 1 << 20))
        count = int(re.findall(rb"\* (\d+) EXISTS", talk.heard)[-1])
        if dice.random() < 0.1:
            tag = b"i%d" % turn
            talk.send(tag + b" IDLE\r\n", piece)
            while not talk.line().startswith(b"+"):
                pass
            talk.send(b"DONE\r\n", piece)
            talk.until_tag(tag)
            continue
        group, tags, begin = b"", [], len(talk.units)
        for number in range(dice.randrange(1, 6)):
            tag = b"t%d.%d" % (turn, number)
            octets, waits = command(dice, tag, count)
            if b" APPEND " not in octets[:20]:
                group += octets
                tags.append(tag)
                continue
            if group:
                talk.send(group, piece)
                talk.until_tags(tags)
                group, tags = b"", []
            talk.send(octets, max(piece, 50) if len(octets) < 10_000 else max(piece, 1000))
            if waits is not None:
                while not talk.line().startswith(b"+"):
                    pass
                talk.send(waits, max(piece, 1000))
            talk.until_tag(tag)
        talk.send(group, piece)
        talk.until_tags(tags)
        talk.units[begin:] = sorted(talk.units[begin:])
    talk.send(b"out LOGOUT\r\n", 100)
    talk.until_tag(b"out")
    return b"".join(talk.units)


def alike(heard):
    heard = re.sub(rb" \(\d+\.\d+ \+ \d+\.\d+( \+ \d+\.\d+)? secs\)", b"", heard)
    heard = re.sub(rb"UIDVALIDITY \d+", b"UIDVALIDITY n", heard)
    heard = re.sub(rb"APPENDUID \d+", b"APPENDUID n", heard)
    heard = re.sub(rb"COPYUID \d+", b"COPYUID n", heard)
    return re.sub(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ n", heard)


one, other = (alike(play(Talk(*server))) for server in servers)
if one != other:
    at = next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    sys.exit("differ at octet %d of %d and %d:\n%r\n%r" % (at, len(one), len(other), one[at - 300 : at + 200], other[at - 300 : at + 200]))
counts = [len(re.findall(word, one)) for word in (rb"OK \[APPENDUID", rb" FETCH \(", rb"idling")]
print(len(one), *counts)
