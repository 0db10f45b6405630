"""`detent`: the commands, one file per group. One is imported when it is asked for, and what it needs with it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

FILES: Final[Mapping[str, str]] = {  # of each command, in this room
    "adopt": "recovery",
    "api": "apis",
    "audit": "audit",
    "backup": "recovery",
    "client": "clients",
    "clock": "clock",
    "config": "config",
    "doctor": "doctor",
    "family": "families",
    "key": "keys",
    "migrate": "migrate",
    "registration-token": "registration_tokens",
    "restore": "recovery",
    "serve": "serve",
    "up": "up",
    "user": "users",
    "webhook": "webhooks",
}


class Commands(click.Group):
    """A group of which each command is imported when it is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(FILES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in FILES:
            return None
        command: click.Command = getattr(
            import_module(f"detent.cli.{FILES[cmd_name]}"), cmd_name.replace("-", "_")
        )  # fmt: skip
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="detent")
def main() -> None:
    """A self-hosted OAuth 2.1 and OpenID Connect server. `detent up` shows it; `detent serve` is production."""
