"""What was asked of a server and what it answered, and whether that can have been right.

Owns: the record of a run, seen from its clients, and the check of it against the invariants. It knows no store and
no key: a history of another process, another machine or a crashed one is checked alike.
"""
