"""How checking a token can end other than well.

InvalidToken     the token opens nothing here      401 invalid_token   RFC 6750 §3.1
└ UnknownKey     … as far as the keys at hand say: fetch them once more and try again
InvalidProof     it does not prove the key         401 invalid_dpop_proof   RFC 9449 §7.1
Unavailable      nobody can say just now           503                 never acceptance
Rule: no message here ever holds a piece of a token; every reason is a sentence fixed in the code.
"""


class InvalidToken(Exception):
    """`reason` completes "refused: …"; it is safe for the log and for the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownKey(InvalidToken):
    """The token names a `kid` that the key set does not hold."""


class InvalidProof(Exception):
    """`reason` as above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unavailable(Exception):
    """The authorization server could not be asked, or its answer was not one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
