"""`detent client …`: the applications that may ask for tokens."""

from typing import Any, get_args

import click
import msgspec

from detent.admin.documents import Document, client_document, created_document
from detent.admin.errors import NotFound
from detent.admin.registrations import ClientFields
from detent.cli.choices import many, named, one, paging, seconds, switch, together, word
from detent.cli.office import Office
from detent.cli.operation import Answer, facts, operation, table
from detent.core.client import AuthMethod, Client
from detent.core.policy import ClientKind, OnReuse

fields_options = together(
    one("--name", "client_name", "What people are shown."),
    one("--client-uri", "client_uri", "The client's home page, shown to people."),
    one("--logo-uri", "logo_uri", "A picture of the client, shown to people."),
    one("--policy-uri", "policy_uri", "Its privacy policy, linked where people are asked for consent."),
    one("--tos-uri", "tos_uri", "Its terms of service, linked there too."),
    switch("--first-party/--no-first-party", "first_party", "Your own app: people are not asked for consent."),
    many("--redirect-uri", "redirect_uris", "Where the browser comes back to, compared exactly."),
    many("--post-logout-redirect-uri", "post_logout_redirect_uris", "Where it may come back to after signing out."),
    many("--origin", "web_origins", "A browser origin (scheme://host[:port]) that may read answers."),
    many("--grant", "grant_types", "A grant type."),
    one(
        "--auth-method",
        "token_endpoint_auth_method",
        "How it shows who it is.",
        type=click.Choice(get_args(AuthMethod)),
    ),
    switch("--require-pkce/--no-require-pkce", "require_pkce", "Off for a confidential client that sends a nonce."),
    many("--scope", "scope", "What the client may ever ask for."),
    one("--audience", "default_audience", "The API that is meant when it names none.", lambda given: given or None),
    switch("--rotating/--no-rotating", "rotating", "Whether refresh tokens turn (confidential clients)."),
    seconds("--overlap", "overlap", "How long a used refresh token is still answered"),
    word("--on-reuse", "on_reuse", "What a used refresh token does to its family.", get_args(OnReuse)),
    seconds("--access-life", "access_life", "Life of an access token"),
    seconds("--idle", "idle", "Life of a refresh token that is not used"),
    seconds("--absolute", "absolute", "Life of a refresh token's family"),
    one(
        "--metadata",
        "metadata",
        "NAME=VALUE, for members that features add. Repeatable.",
        named,
        multiple=True,
    ),
    one("--refresh-strategy", "refresh_strategy", "What proves that a refresh token is good; docs/strategies.md."),
)


@click.group()
def client() -> None:
    """The applications that may ask for tokens."""


@client.command()
@operation(create=True)
@click.option("--kind", type=click.Choice(get_args(ClientKind)), required=True, help="Decides every default.")
@fields_options
async def add(office: Office, kind: ClientKind, **fields: Any) -> Answer:
    """Register a client; its secret is shown now and never again."""
    added, secret = await office.registrations.add_client(kind, ClientFields(**fields))
    return _with_secret(added, secret)


@client.command("list")
@operation()
@paging("client_id")
async def list_(office: Office, after: str, limit: int) -> Answer:
    """List the clients."""
    found = await office.directory.clients(after=after, limit=limit)
    rows = [(each.client_id, each.kind, each.client_name, " ".join(each.grant_types), _state(each)) for each in found]
    return Answer(
        [client_document(each) for each in found], table(("CLIENT_ID", "KIND", "NAME", "GRANTS", "STATE"), rows)
    )


@client.command()
@operation()
@click.argument("client_id")
async def show(office: Office, client_id: str) -> Answer:
    """Show a client, and where each value of its policy comes from."""
    found = await office.outside.store.client(client_id)
    if found is None:
        raise NotFound(f"There is no client {client_id[:256]}. `detent client list` shows those there are.")
    return _answer(client_document(found))


@client.command()
@operation()
@click.argument("client_id")
@fields_options
@switch("--enable/--disable", "enabled", "Disabling voids what the client was issued, for good.")
async def update(office: Office, client_id: str, **fields: Any) -> Answer:
    """Change a client; a list that is given replaces the one it has."""
    return _answer(client_document(await office.registrations.update_client(client_id, ClientFields(**fields))))


@client.command("rotate-secret")
@operation()
@click.argument("client_id")
@click.option("--overlap", type=int, default=0, metavar="SECONDS", help="How long the present secret stays good.")
async def rotate_secret(office: Office, client_id: str, overlap: int) -> Answer:
    """Give a client a new secret; it is shown now and never again."""
    return _with_secret(*await office.registrations.rotate_secret(client_id, overlap))


@client.command()
@operation()
@click.argument("client_id")
async def remove(office: Office, client_id: str) -> Answer:
    """Remove a client and with it everything it was issued."""
    removed = await office.registrations.remove_client(client_id)
    return Answer({"client_id": removed.client_id, "removed": True}, f"Removed {removed.client_id}.")


def _state(client: Client) -> str:
    return "enabled" if client.enabled else "disabled"


def _with_secret(client: Client, secret: str | None) -> Answer:
    answer = _answer(created_document(client, secret))
    note = "\n\nKeep the secret now: it is not stored, and cannot be shown again." if secret else ""
    return msgspec.structs.replace(answer, text=answer.text + note)


def _answer(document: Document) -> Answer:
    shown = {name: value for name, value in document.items() if name != "policy"}
    rows = [(name, _shown(each["value"]), _whence(each)) for name, each in document["policy"].items()]
    return Answer(
        document,
        f"{facts(shown)}\n\n{table(('POLICY', 'VALUE', 'FROM'), rows)}",
    )


def _shown(value: object) -> str:
    return f"{value} s" if isinstance(value, int) else str(value)


def _whence(knob: Document) -> str:
    if knob["overridden"]:
        return f"this client (its kind: {_shown(knob['default'])})"
    return f"its kind ({knob['clause']})"
