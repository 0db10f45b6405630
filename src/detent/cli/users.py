"""`detent user …`: the people who sign in. A password is typed, read from stdin or generated; never an argument."""

import json
import sys
from typing import Any, Final

import click

from detent.admin.documents import Document, user_document
from detent.admin.errors import NotFound
from detent.cli.choices import paging, together
from detent.cli.office import Office
from detent.cli.operation import Answer, Failure, facts, operation, table
from detent.core.ids import ClientId
from detent.core.people import CLAIM_TYPES, CLAIMS_OF_SCOPE, User
from detent.identity.passwords import new_password

CLAIMS: Final = tuple(name for names in CLAIMS_OF_SCOPE.values() for name in names if name != "updated_at")

password_options = together(
    click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin."),
    click.option("--generate", is_flag=True, help="Make a password and show it once."),
)


def _claims(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """Each `NAME=VALUE`; what is not text is JSON, and an empty value takes the claim away."""
    claims = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or name not in CLAIMS:
            raise click.BadParameter(f"write NAME=VALUE, with a NAME of: {', '.join(CLAIMS)}.")
        try:
            claims[name] = (json.loads(value) if name in CLAIM_TYPES else value) if value else None
        except ValueError:
            raise click.BadParameter(f"{name} must be JSON, such as true or {{...}}.") from None
    return claims


claim_option = click.option(
    "--claim", "claims", multiple=True, callback=_claims, metavar="NAME=VALUE",
    help="What an ID token says of the person where the scope asks for it, such as email=a@b.example. Repeatable.",
)  # fmt: skip


@click.group()
def user() -> None:
    """The people who sign in."""


@user.command()
@operation(create=True)
@click.argument("username")
@claim_option
@password_options
@click.option("--no-password", is_flag=True, help="Nobody signs in as this person by password.")
async def add(
    office: Office, username: str, claims: dict[str, Any], password_stdin: bool, generate: bool, no_password: bool
) -> Answer:
    """Add a person; without an option for it the password is asked for."""
    password = None if no_password else _password(office, password_stdin, generate)
    known = {name: value for name, value in claims.items() if value is not None}
    added = await office.people.add(username, password, known)
    return _answer(added, password if generate else None)


@user.command("list")
@operation()
@paging("sub")
async def list_(office: Office, after: str, limit: int) -> Answer:
    """List the people."""
    found = await office.directory.users(after=after, limit=limit)
    rows = [(each.username, each.subject, "enabled" if each.enabled else "disabled") for each in found]
    return Answer([user_document(each) for each in found], table(("USERNAME", "SUB", "STATE"), rows))


@user.command()
@operation()
@click.argument("username")
async def show(office: Office, username: str) -> Answer:
    """Show a person."""
    return _answer(await _named(office, username))


@user.command()
@operation()
@click.argument("username")
@claim_option
@click.option("--password", "ask", is_flag=True, help="Ask for a new password.")
@password_options
@click.option("--enable/--disable", "enabled", default=None, help="Disabling voids what was issued to them, for good.")
async def update(
    office: Office, username: str, claims: dict[str, Any], ask: bool, password_stdin: bool, generate: bool,
    enabled: bool | None,
) -> Answer:  # fmt: skip
    """Change a person. A new password and disabling void everything issued to them until now."""
    found = await _named(office, username)
    password = _password(office, password_stdin, generate) if ask or password_stdin or generate else None
    if password is not None:
        found = await office.people.set_password(found.subject, password)
    if claims:
        merged = {name: value for name, value in (found.claims | claims).items() if value is not None}
        found = await office.people.set_claims(found.subject, merged)
    if enabled is not None:
        change = office.people.enable if enabled else office.people.disable
        found = await change(found.subject)
    return _answer(found, password if generate else None)


@user.command("sign-out")
@operation()
@click.argument("username")
async def sign_out(office: Office, username: str) -> Answer:
    """Sign a person out everywhere: every session, and every app with its tokens."""
    found = await _named(office, username)
    await office.house.sessions.sign_out(found.subject, office.outside.clock.now(), by="operator")
    return Answer({"sub": found.subject, "signed_out": True}, f"Signed {found.username} out everywhere.")


@user.command()
@operation()
@click.argument("username")
@click.argument("client_id")
async def withdraw(office: Office, username: str, client_id: str) -> Answer:
    """Withdraw what a person allowed a client, and end all that it holds of them."""
    found = await _named(office, username)
    await office.house.consents.withdraw(found.subject, ClientId(client_id), office.outside.clock.now())
    document = {"sub": found.subject, "client_id": client_id, "withdrawn": True}
    return Answer(document, f"{found.username} allows {client_id} nothing any more.")


@user.command()
@operation()
@click.argument("username")
async def remove(office: Office, username: str) -> Answer:
    """Remove a person, and everything issued to them."""
    found = await _named(office, username)
    await office.people.remove(found.subject)
    return Answer({"sub": found.subject, "removed": True}, f"Removed {found.username}.")


async def _named(office: Office, username: str) -> User:
    found = await office.directory.user_by_name(username)
    if found is None:
        raise NotFound(f"There is no user {username[:128]}. `detent user list` shows those there are.")
    return found


def _password(office: Office, from_stdin: bool, generate: bool) -> str:
    if generate:
        return new_password(office.outside.entropy)
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Failure("invalid_request", "There is no terminal to ask for a password: --password-stdin or --generate.")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _answer(user: User, password: str | None = None) -> Answer:
    document: Document = user_document(user)
    if password:
        document = {"username": document.pop("username"), "password": password, **document}
    shown = {name: value for name, value in document.items() if name != "claims"}
    return Answer(document, facts(shown | user.claims))
