"""Where private keys live, and which of them is used when.

Owns: the life of a key (pure, in ring), the files that hold keys, signing with them.
Leaves: what is signed or tagged to tokens/, the wire form of a key set to endpoints/jwks, verifying to
resource_server/. Rule: private material leaves this room only as a signature or through `SecretKeys`.
"""
