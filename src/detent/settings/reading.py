"""Where a setting's value comes from: a flag, else a `DETENT_*` variable, else the TOML file, else the profile,
else the default.

Each value remembers which. Rule: what is not declared, or is of another type, stops the start and is named with its
line.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import msgspec

from detent.profiles import PROFILES
from detent.settings.declared import DECLARED, FILE_NAME, PREFIX, Problem, Setting, Settings, SettingsError


class _Given(msgspec.Struct, frozen=True):
    """A value as it was given: text from a flag or a variable, of its own type from a file."""

    value: Any
    source: str
    is_text: bool = True


def load(flags: Mapping[str, str], environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings in force. Raises SettingsError with all that is wrong.

    `config` is the TOML file; without one it is `detent.toml` in the data directory, if that is there.
    """
    problems: list[Problem] = []
    given = _from_environment(environment, problems)
    given |= {name: _Given(text, DECLARED[name].flag) for name, text in flags.items()}
    values = _read_all(given, problems)
    in_file = _from_file(config, values.get("data", DECLARED["data"].default), problems)
    in_file = {name: each for name, each in in_file.items() if name not in given}
    values |= _read_all(in_file, problems)
    if problems:
        raise SettingsError(*problems)
    profile = PROFILES[values.get("profile", DECLARED["profile"].default)]
    sources = dict.fromkeys(profile.settings, f"profile {profile.name}")
    sources |= {name: each.source for name, each in (in_file | given).items()}
    return Settings(**{**profile.settings, **values}, sources=MappingProxyType(sources))


def _from_environment(environment: Mapping[str, str], problems: list[Problem]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    by_variable = {setting.variable: name for name, setting in DECLARED.items()}
    for variable, text in sorted(environment.items()):
        if variable in by_variable:
            given[by_variable[variable]] = _Given(text, variable)
        elif variable.startswith(PREFIX):
            problems.append(_unknown(variable, variable, list(by_variable)))
    return given


def _from_file(config: Path | None, data: Path, problems: list[Problem]) -> dict[str, _Given]:
    path = config or data / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        if config:
            problems.append(Problem("", str(path), "there is no such file; `detent config init` prints one."))
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(Problem("", str(path), f"cannot be read as TOML: {error}."))
        return {}
    lines = _lines(text)
    given: dict[str, _Given] = {}
    for name, value in table.items():
        source = f"{path} line {lines[name]}"
        if name not in DECLARED:
            problems.append(_unknown(name, source, list(DECLARED)))
        elif name == "data" and not config:
            problems.append(Problem(name, source, "a file in the data directory cannot say where that is. Remove it."))
        elif DECLARED[name].is_path and isinstance(value, str) and value:
            given[name] = _Given(path.parent / value, source, is_text=False)
        else:
            given[name] = _Given(value, source, is_text=False)
    return given


def _lines(text: str) -> dict[str, int]:
    """On which line each key stands: the first one where the text so far is TOML that has it."""
    found: dict[str, int] = {}
    lines = text.splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        try:
            keys = tomllib.loads("".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value of several lines
        for key in keys:
            found.setdefault(key, number)
    return found


def _unknown(name: str, source: str, known: list[str]) -> Problem:
    close = difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {close[0]}?" if close else "Remove it; `detent config explain` lists what there is."
    return Problem("", source, f"there is no setting {name}. {advice}")


def _read_all(given: Mapping[str, _Given], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, each in given.items():
        setting = DECLARED[name]
        value = _from_text(setting, each.value) if each.is_text else each.value
        if value == "" and setting.default is None:
            value = None
        if _fits(setting, value):
            values[name] = value
        else:
            shown = str(each.value)[:100]
            problems.append(Problem(name, each.source, f"must be {setting.expected}, not {shown!r}."))
    return values


def _from_text(setting: Setting, text: str) -> Any:
    """The text in the type of the setting, or as it is where it has no such meaning."""
    if setting.type is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if setting.type is int and text.isascii() and text.isdecimal():
        return int(text[:20])
    return Path(text) if setting.is_path and text else text


def _fits(setting: Setting, value: Any) -> bool:
    if get_origin(setting.type) is Literal:
        return value in get_args(setting.type)
    in_type = isinstance(value, setting.type) and (setting.type is bool or not isinstance(value, bool))
    return in_type and (setting.type is not int or setting.about.low <= value <= setting.about.high)
