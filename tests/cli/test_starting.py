"""What a start reads: a server that was killed is back soon because it imports only what its first answer needs."""

import json
import sys
from typing import Final

from tests.cli.conftest import Cli, process

SHOWN: Final = "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules))))"
DETENT: Final = [sys.executable, "-c", f"{SHOWN}; from detent.cli import main; main()"]
LATER: Final = {  # and what first asks for it
    "jinja2": "a page",
    "prometheus_client": "a scrape",
    "importlib.metadata": "a scrape",
    "h11": "a request of ours to somebody else",
    "ua_parser": "the page that lists a person's devices",
    "starlette": "the demo apps of `detent up`",
    "detent.cli.up": "`detent up`",
    "detent.cli.migrate": "`detent migrate`",
    "psycopg": "a store in PostgreSQL",
}


def test_a_server_starts_without_what_its_first_answer_does_not_need(cli: Cli) -> None:
    serve = ("serve", "--issuer", "https://id.example/", "--port", "0", "--data", str(cli.data))
    with process(cli.data.with_suffix(".log"), *serve, detent=DETENT) as server:
        code, told = server.end()
    imported = json.loads(told)
    assert code == 0
    assert {"detent.app", "uvicorn", "joserfc"} <= set(imported)
    assert [name for name in LATER if name in imported] == []
