"""Sends a message with smtplib, over TLS from the first octet.

usage: send.py PORT CA LOGIN PASSWORD MESSAGE FROM TO...
"""

import smtplib
import ssl
import sys

port, ca, login, password, message, sender, *recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
with open(message, "rb") as file, smtplib.SMTP_SSL("localhost", int(port), context=context) as smtp:
    smtp.login(login, password)
    refused = smtp.sendmail(sender, recipients, file.read())
sys.exit(f"refused: {refused}" if refused else 0)
