"""May this text be a username? One spelling per person, and nothing that looks like another's name unseen.

Source: RFC 8264 §4.2 (IdentifierClass), RFC 8265 §3.3 (UsernameCaseMapped), UTS 39 §5.2 (mixed scripts). Twins that
differ in case, width or compatibility form meet in `core.people.canonical_username`; what would be a twin only to
the eye is refused here.
"""

import re
import unicodedata
from typing import Final

from detent.core.errors import InvalidRequest
from detent.core.people import canonical_username

MAX_CHARACTERS: Final = 128
_LETTERS: Final = frozenset({"Lu", "Ll", "Lt", "Lo"})
_ALLOWED: Final = _LETTERS | {"Lm", "Mn", "Mc"}
# Letters and marks that show nothing (Unicode DerivedCoreProperties, Default_Ignorable_Code_Point).
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
# UTS 39 "highly restrictive": these are commonly written together and share no look-alikes.
_EAST_ASIAN: Final = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)


def checked_username(text: str) -> str:
    """The username as it is stored and shown, in NFKC. Raises InvalidRequest with what to change."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"A username has at most {MAX_CHARACTERS} characters.")
    shown = unicodedata.normalize("NFKC", text).strip()
    canonical = canonical_username(shown)
    if not 1 <= len(canonical) <= MAX_CHARACTERS:
        raise InvalidRequest(f"A username has 1 to {MAX_CHARACTERS} characters.")
    if not all(_is_allowed(character) for character in canonical) or _INVISIBLE.search(canonical):
        raise InvalidRequest(
            "A username is made of letters and of ASCII digits and signs, without spaces or hidden signs."
        )
    if unicodedata.category(canonical[0]).startswith("M") or canonical_username(canonical) != canonical:
        raise InvalidRequest("A username cannot be spelt with these combining characters.")
    scripts = {_script(character) for character in canonical if unicodedata.category(character) in _LETTERS}
    if len(scripts) > 1 and not any(scripts <= together for together in _EAST_ASIAN):
        raise InvalidRequest("A username keeps to one script: letters of several scripts can look like another name.")
    return shown


def _is_allowed(character: str) -> bool:
    return "!" <= character <= "~" or unicodedata.category(character) in _ALLOWED


def _script(letter: str) -> str:
    """Character names begin with the script (Unicode §4.8); the standard library holds no table of scripts."""
    return unicodedata.name(letter, "").partition(" ")[0]
