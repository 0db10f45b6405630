"""What a browser calls itself, in words for the list of a person's devices; "Unknown device" where it says nothing.

Source: RFC 9110 §10.1.5 (User-Agent), uap-core (its regular expressions, matched in linear time whatever comes).
It is what the sender claims: shown to its own person, and nothing is decided by it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

UNKNOWN: Final = "Unknown device"
MAX_CHARACTERS: Final = 60
_MAX_USER_AGENT: Final = 512
_SAME_BROWSER: Final = re.compile(r"\b(Mobile|iOS)\b")  # "Firefox Mobile" and "Chrome Mobile iOS" say it twice
_SPACES: Final = re.compile(r"\s+")


def device_name(user_agent: str) -> str:
    """Such as "Firefox on Android", "Chrome on Linux" or "curl"; at most 60 printable characters."""
    browser, system = _parsed()(user_agent[:_MAX_USER_AGENT])
    names = dict.fromkeys(filter(None, (_shown(_SAME_BROWSER.sub("", browser)), _shown(system))))
    return " on ".join(names)[:MAX_CHARACTERS].rstrip() or UNKNOWN


def _shown(name: str) -> str:
    printable = "".join(character for character in name if character.isprintable())
    return _SPACES.sub(" ", printable).strip()


@cache
def _parsed() -> Callable[[str], tuple[str, str]]:
    """Browser and system of a user agent; "" for what is not known.

    Loading takes a tenth of a second, which no command line has to wait for.
    """
    from ua_parser import Domain, load_lazy_builtins
    from ua_parser.regex import Resolver

    browsers, systems, _ = load_lazy_builtins()
    resolve = Resolver((browsers, systems, []))

    def parsed(user_agent: str) -> tuple[str, str]:
        found = resolve(user_agent, Domain.USER_AGENT | Domain.OS)
        return found.user_agent.family if found.user_agent else "", found.os.family if found.os else ""

    return parsed
