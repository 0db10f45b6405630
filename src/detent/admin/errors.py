"""What an operation can meet beside bad metadata: its object is not there, is there already, or has just changed."""

from detent.core.errors import OAuthError


class NotFound(OAuthError):
    code, status = "not_found", 404


class AlreadyExists(OAuthError):
    code, status = "already_exists", 409


class ChangedMeanwhile(OAuthError):
    code, status = "conflict", 409

    def __init__(self) -> None:
        super().__init__("Somebody else changed it at the same moment, so nothing was done. Look again, and try again.")
