"""The chain over the audit log: making its links, beside the hot path, and checking them.

Owns: what is linked when (chain.py), and what can be said of a log that was tampered with (verify.py). Leaves: the
form of a link to core/audit.py, writing an event to the change that it belongs to.
"""
