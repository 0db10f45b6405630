"""`detent`: the commands, one file per group."""

import click

from detent.cli.apis import api
from detent.cli.audit import audit
from detent.cli.clients import client
from detent.cli.clock import clock
from detent.cli.config import config
from detent.cli.doctor import doctor
from detent.cli.families import family
from detent.cli.keys import key
from detent.cli.migrate import migrate
from detent.cli.recovery import adopt, backup, restore
from detent.cli.registration_tokens import registration_token
from detent.cli.serve import serve
from detent.cli.up import up
from detent.cli.users import user
from detent.cli.webhooks import webhook


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="detent")
def main() -> None:
    """A self-hosted OAuth 2.1 and OpenID Connect server. `detent up` shows it; `detent serve` is production."""


for command in (
    up,
    serve,
    client,
    api,
    user,
    key,
    family,
    audit,
    webhook,
    config,
    backup,
    restore,
    migrate,
    adopt,
    doctor,
    clock,
    registration_token,
):
    main.add_command(command)
