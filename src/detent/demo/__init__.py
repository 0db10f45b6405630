"""What makes the first ten minutes work: an API to call, and people and clients to call it as.

Owns: the demo API (an API like yours, guarded by the library), the seeds of development mode and how a store that
was seeded is recognised. Leaves: registering to admin/ and identity/, checking tokens to resource_server/.
Rule: nothing of this exists in a production store.
"""
