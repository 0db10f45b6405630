"""What others are told of because it stands in the audit log, at least once each: webhooks and logout tokens.

Owns: a webhook's message and signature (message.py), when it is sent, in order (courier.py); whose sessions ended and
which apps are owed a logout token (endings.py), when that is sent (logouts.py); and their rounds (rounds.py). Leaves:
what a webhook is to core/webhook.py, registering to admin/ and features/, logout tokens themselves to tokens/, the
request and where it must not go to web/outbound.py.
"""
