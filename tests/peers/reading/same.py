"""Plays one random stream of IMAP commands to two servers and compares what they answer, octet by octet.

usage: same.py SEED ROUNDS PORT LOGIN PASSWORD PORT LOGIN PASSWORD

Both accounts must begin alike. What differs by nature is made alike before the comparison: times that commands took,
UIDVALIDITY, the words of the login. The stream is in the manner of Dovecot's ImapTest: pipelined commands, literals of
both kinds, IDLE, APPEND, FETCH of large and binary parts, cut into pieces of any size.

How the octets are cut on the way, and how busy the machine is, must not decide what is answered. Dovecot may work on
pipelined commands side by side, and it tells of changes once all that it has of a pipeline is done. So what changes
something (STORE, COPY, APPEND) stands alone and is waited for, and the answers of a pipeline are compared whatever
their order. A pipeline either names messages by number or has commands during which Dovecot may tell of messages that
are gone (NOOP, UID FETCH), never both: numbers would be ambiguous (RFC 9051 section 5.5), and Dovecot remarks on that
whenever it happens to come upon it, even in the middle of a literal. Each seed has folders of its own, so that nothing
need be emptied while a server may still have it open. What Dovecot says of commands that take long, and its guesses of
which folders have new mail, are left out.
"""

import random
import re
import socket
import sys

seed, rounds = int(sys.argv[1]), int(sys.argv[2])
box, archive = b"Play%d" % seed, b"Archive%d" % seed
remarks = (b"* OK Searched ", b"* OK Hang in there", b"* OK Still here")
servers = [(int(sys.argv[at]), sys.argv[at + 1], sys.argv[at + 2]) for at in (3, 6)]


def alike(heard):
    """An answer without what differs by nature; before it is sorted among others, or the order would differ too."""
    heard = re.sub(rb" \(\d+\.\d+ \+ \d+\.\d+( \+ \d+\.\d+)? secs\)", b"", heard)
    heard = re.sub(rb" \\(Unm|UnM|M)arked", b"", heard)
    heard = re.sub(rb"UIDVALIDITY \d+", b"UIDVALIDITY n", heard)
    heard = re.sub(rb"APPENDUID \d+", b"APPENDUID n", heard)
    heard = re.sub(rb"COPYUID \d+", b"COPYUID n", heard)
    return re.sub(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ n", heard)


class Talk:
    def __init__(self, port, login, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=300)
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
                if not unit.startswith(remarks):
                    self.units.append(alike(unit))
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


def some(dice, count):
    return b"%d:%d" % tuple(sorted(dice.choices(range(1, max(count, 1) + 1), k=2)))


def question(dice, count, kind):
    """A command that changes nothing, of a kind of pipeline."""
    anywhere = (
        b"CAPABILITY",
        b"STATUS %s (MESSAGES UIDNEXT UNSEEN)" % archive,
        b"STATUS Nowhere (MESSAGES)",
        b'LIST "" "*"',
        b"FROB",
    )
    by_number = (
        b"SEARCH ALL",
        b"SEARCH TEXT abc",
        b"FETCH %s (UID FLAGS RFC822.SIZE)" % some(dice, count),
        b"FETCH %s BODY.PEEK[]" % some(dice, count),
        b"FETCH %s (ENVELOPE BODYSTRUCTURE)" % some(dice, count),
        b"FETCH %s BINARY.PEEK[1]" % some(dice, count),
    )
    by_uid = (
        b"NOOP",
        b"UID SEARCH TEXT abc",
        b"UID FETCH %d:* (FLAGS RFC822.SIZE)" % dice.randrange(1, 100),
        b"UID FETCH 1:* BODY.PEEK[TEXT]<%d.%d>" % (dice.randrange(1000), dice.randrange(1, 100_000)),
    )
    return dice.choice(anywhere + (by_number if kind == "by number" else by_uid))


def change(dice, count):
    """A command that changes something, and what follows the `+` it waits for."""
    message = body(dice)
    if dice.random() < 0.3:
        return b"APPEND %s {%d+}\r\n%s" % (box, len(message), message), None
    if dice.random() < 0.3:
        return b"APPEND %s (\\Seen) {%d}" % (box, len(message)), message
    return dice.choice(
        (
            (b"STORE %s +FLAGS (\\Seen)" % some(dice, count), None),
            (b"STORE %s -FLAGS.SILENT (\\Seen \\Flagged)" % some(dice, count), None),
            (b"COPY %s %s" % (some(dice, count), archive), None),
            (b"CHECK", None),
        )
    )


def play(talk):
    dice = random.Random(seed)
    talk.send(b"s1 CREATE %s\r\n" % archive, 7)
    talk.until_tag(b"s1")
    talk.send(b"s2 CREATE %s\r\n" % box, 7)
    talk.until_tag(b"s2")
    talk.send(b"s3 SELECT %s\r\n" % box, 7)
    talk.until_tag(b"s3")
    for turn in range(rounds):
        piece = dice.choice((1, 3, 50, 1000, 1 << 20))
        count = int(re.findall(rb"\* (\d+) EXISTS", talk.heard)[-1])
        kind = dice.random()
        if kind < 0.1:
            idle(talk, b"i%d" % turn, piece)
        elif kind < 0.5:
            for number in range(dice.randrange(1, 4)):
                change_alone(talk, dice, b"c%d.%d" % (turn, number), (count, piece))
        else:
            tags = [b"t%d.%d" % (turn, number) for number in range(dice.randrange(1, 8))]
            begin = len(talk.units)
            pipeline = dice.choice(("by number", "by number", "by UID"))
            talk.send(b"".join(b"%s %s\r\n" % (tag, question(dice, count, pipeline)) for tag in tags), piece)
            talk.until_tags(tags)
            talk.units[begin:] = sorted(talk.units[begin:])
    talk.send(b"out LOGOUT\r\n", 100)
    talk.until_tag(b"out")
    return b"".join(talk.units)


def idle(talk, tag, piece):
    talk.send(tag + b" IDLE\r\n", piece)
    while not talk.line().startswith(b"+"):
        pass
    talk.send(b"DONE\r\n", piece)
    talk.until_tag(tag)


def change_alone(talk, dice, tag, measures):
    count, piece = measures
    octets, literal = change(dice, count)
    # Large messages go in larger pieces, or the test would take for ever.
    piece = max(piece, 50 if len(octets) < 10_000 else 1000)
    talk.send(b"%s %s\r\n" % (tag, octets), piece)
    if literal is not None:
        while not talk.line().startswith(b"+"):
            pass
        talk.send(literal + b"\r\n", max(piece, 1000))
    talk.until_tag(tag)


one, other = (play(Talk(*server)) for server in servers)
if one != other:
    at = next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    sys.exit("differ at octet %d of %d and %d:\n%r\n%r" % (at, len(one), len(other), one[at - 300 : at + 200], other[at - 300 : at + 200]))
counts = [len(re.findall(word, one)) for word in (rb"OK \[APPENDUID", rb" FETCH \(", rb"idling")]
print(len(one), *counts)
