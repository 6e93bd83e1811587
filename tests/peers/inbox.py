"""Prints every message of a mailbox, oldest first, one line of base64 each.

usage: inbox.py IMAP-PORT MAILBOX
"""

import base64
import imaplib
import sys

port, mailbox = sys.argv[1:]
imap = imaplib.IMAP4("127.0.0.1", int(port))
imap.login(mailbox, "reader")
_, (count,) = imap.select(readonly=True)
for number in range(1, int(count) + 1):
    _, ((_, message), *_) = imap.fetch(str(number), "(BODY.PEEK[])")
    print(base64.b64encode(message).decode())
imap.logout()
