"""Webhooks: events of the audit log, signed and sent to those who asked, at least once each and in order.

Owns: the message and its signature (message.py), and when what is sent (courier.py). Leaves: what a webhook is to
core/webhook.py, registering to admin/, the request and where it must not go to web/outbound.py.
"""
