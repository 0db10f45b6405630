"""How a client shows who it is at the token, revocation and introspection endpoints: one file per method.

Owns: reading the claim off the request, the keyed hash of secrets, the proof.
Leaves: registered clients to the store, key material to keys/, possession of keys (DPoP, mTLS) to features/.
"""
