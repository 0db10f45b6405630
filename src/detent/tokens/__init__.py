"""What travels: handles (refresh tokens, codes, opaque access tokens), JWT access tokens, ID tokens.

Owns: their wire format, tags, sealing and minting, and reading our own access tokens back.
Leaves: what a presented refresh token means to core/family.py, key material to keys/, state to the store.
"""
