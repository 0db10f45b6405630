"""Where events and log lines go beside the store.

Owns: the structured log, and what a line of it looks like. Leaves: what is worth an event to core/, the audit log
(committed with its change) to stores/. Rule: a sink never blocks, never raises and never gets a secret.
"""
