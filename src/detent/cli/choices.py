"""Options that tell what was chosen from what was not: left out is UNSET, `default` takes a default back.

So `add` and `update` share their options, and what a command gets is what `ClientFields` and `ApiFields` hold.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
import msgspec
from msgspec import UNSET

F = TypeVar("F", bound=Callable[..., Any])
TAKE_BACK: Final = "default"
# An id may begin with a dash, and is no option then, nor a call for help for the h in it.
ID_COMMAND: Final[dict[str, Any]] = {
    "context_settings": {"ignore_unknown_options": True, "help_option_names": ["--help"]}
}


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order in which help shows them."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def one(flag: str, name: str, help: str, read: Callable[[Any], Any] = str, **more: Any) -> Callable[[F], F]:
    def callback(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
        return UNSET if given is None or given == () else read(given)

    return click.option(flag, name, callback=callback, help=help, **more)


def many(flag: str, name: str, help: str) -> Callable[[F], F]:
    """Repeated, or several in one value with spaces between; an empty value stands for none at all."""
    return one(flag, name, f"{help} Repeatable.", _names, multiple=True)


def switch(flag: str, name: str, help: str) -> Callable[[F], F]:
    """`flag` names both ways: --on/--off."""
    return one(flag, name, help, bool, default=None)


def seconds(flag: str, name: str, help: str) -> Callable[[F], F]:
    return one(flag, name, f"{help}, in seconds or `{TAKE_BACK}`.", _or_default(click.INT), metavar="SECONDS")


def word(flag: str, name: str, help: str, words: tuple[str, ...]) -> Callable[[F], F]:
    return one(flag, name, help, _or_default(str), type=click.Choice((*words, TAKE_BACK)))


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(given).split()))


def _or_default(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda given: None if given == TAKE_BACK else read(given)


def named(given: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is JSON where it can be, else the text itself, and `default` takes one away."""
    pairs = [each.partition("=") for each in given]
    if wrong := next((name for name, sign, _ in pairs if not name or not sign), None):
        raise click.BadParameter(f"write NAME=VALUE, not {wrong}.")
    return {name: None if text == TAKE_BACK else _json(text) for name, _, text in pairs}


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def paging(what: str) -> Callable[[F], F]:
    return together(
        click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many."),
        click.option("--after", default="", metavar="KEY", help=f"Go on after this {what}."),
    )
