"""How a JWT refresh token proves that it is still good: the strategies that a client may choose instead of a family.

Owns: what is remembered of such a token, and what ends it; one file each, what they share in jwt_refresh.py.
Leaves: the default, families, to grants/; reading and signing a token to tokens/refresh_jwt.py.
Compared and measured in docs/strategies.md.
"""
