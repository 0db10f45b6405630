"""What makes the first ten minutes work: an API to call, two apps that sign in, and people and clients to do it as.

Owns: the demo API (an API like yours, guarded by the library), the demo browser app and web app (apps like yours, on
unmodified client libraries), the seeds of development mode and how a store that was seeded is recognised.
Leaves: registering to admin/ and identity/, checking tokens to resource_server/.
Rule: nothing of this exists in a production store.
"""
