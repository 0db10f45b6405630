"""`detent api …`: the APIs (resource servers) that access tokens are for."""

from typing import Any, get_args

import click

from detent.admin.documents import api_document
from detent.admin.errors import NotFound
from detent.admin.registrations import ApiFields
from detent.cli.choices import many, one, paging, seconds, together
from detent.cli.office import Office
from detent.cli.operation import Answer, facts, operation, table
from detent.core.api import Api, SigningAlg


def _scopes(given: tuple[str, ...]) -> dict[str, str]:
    """`read` or `read=What people are told`; an empty value stands for no scope at all."""
    pairs = (each.partition("=") for each in given if each)
    return {name: text or name for name, _, text in pairs}


fields_options = together(
    one("--name", "name", "What people are shown."),
    one("--scope", "scopes", "A scope, as NAME or NAME=SENTENCE. Repeatable.", _scopes, multiple=True),
    one("--format", "token_format", "What its access tokens look like: jwt or opaque.", metavar="FORMAT"),
    one("--alg", "signing_alg", "What signs its JWTs.", type=click.Choice(get_args(SigningAlg))),
    seconds("--access-life", "access_life", "Longest life of its access tokens; a client's shorter one holds"),
    many("--client", "clients", "A client that may ask for its tokens; `*` stands for every client."),
    many("--introspected-by", "introspected_by", "A client that may ask what its tokens mean."),
)


@click.group()
def api() -> None:
    """The APIs that access tokens are for."""


@api.command()
@operation(create=True)
@click.argument("identifier")
@fields_options
async def add(office: Office, identifier: str, **fields: Any) -> Answer:
    """Register an API by its identifier, an absolute URI that becomes the audience of its tokens."""
    return _answer(await office.registrations.add_api(identifier, ApiFields(**fields)))


@api.command("list")
@operation()
@paging("identifier")
async def list_(office: Office, after: str, limit: int) -> Answer:
    """List the APIs."""
    found = await office.directory.apis(after=after, limit=limit)
    rows = [(each.identifier, each.name, each.token_format, " ".join(each.scopes)) for each in found]
    return Answer([api_document(each) for each in found], table(("IDENTIFIER", "NAME", "FORMAT", "SCOPES"), rows))


@api.command()
@operation()
@click.argument("identifier")
async def show(office: Office, identifier: str) -> Answer:
    """Show an API."""
    found = await office.outside.store.api(identifier)
    if found is None:
        raise NotFound(f"There is no API {identifier[:500]}. `detent api list` shows those there are.")
    return _answer(found)


@api.command()
@operation()
@click.argument("identifier")
@fields_options
async def update(office: Office, identifier: str, **fields: Any) -> Answer:
    """Change an API; a list that is given replaces the one it has."""
    return _answer(await office.registrations.update_api(identifier, ApiFields(**fields)))


@api.command()
@operation()
@click.argument("identifier")
async def remove(office: Office, identifier: str) -> Answer:
    """Remove an API; no more tokens are issued for it."""
    removed = await office.registrations.remove_api(identifier)
    return Answer({"identifier": removed.identifier, "removed": True}, f"Removed {removed.identifier}.")


def _answer(api: Api) -> Answer:
    document = api_document(api)
    return Answer(document, facts(document))
