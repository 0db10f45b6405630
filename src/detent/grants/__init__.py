"""The grants that OAuth 2.1 always has: authorization_code, refresh_token, client_credentials.

Owns: what each grant demands, in which order, and the one write that ends it.
Leaves: what a presented refresh token means to core/family.py, minting to tokens/, other grants to features/.
"""
