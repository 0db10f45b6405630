"""Does the time of a refused sign-in tell whether the account exists? `python bench/enumeration.py [--samples 1000]`.

A whole house on SQLite with real password hashes, asked over HTTP at both doors: the login page and the password
grant. Half the samples name a person with a wrong password, half name nobody, in random order. Prints the medians,
their difference, and beside it the difference of two halves of the same kind: what the machine's noise alone makes.
Ends with 1 if a difference is above 2 ms. The throttle is widened: it would end the measurement after ten failures.
"""

import argparse
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from detent.app import House, Outside
from detent.core.changes import InsertClient, changed
from detent.core.client import Client
from detent.core.events import Event
from detent.core.ids import ClientId, Seconds
from detent.core.people import User
from detent.identity.passwords import Passwords
from detent.identity.throttle import Allowance, Allowances
from detent.keys.file import FileKeys
from detent.stores.sqlite import SqliteStore
from detent.system import SystemClock, SystemEntropy
from detent.testing.server import Loopback, ServerThread

LIMIT_MS: Final = 2.0
PEOPLE: Final = 20
PLENTY: Final = Allowance(10**9, Seconds(1))
Guess = Callable[[str], httpx.Response]


class Silent:
    def emit(self, event: Event) -> None:
        pass


def served(thread: ServerThread, folder: Path) -> str:
    """The URL of a house with some people and a client that has the password grant."""
    clock, loopback = SystemClock(), Loopback()
    keys = FileKeys.open(folder / "keys", clock)
    store: Any = thread.call(SqliteStore.open(folder / "detent.db"))
    thread.at_exit(store.close)
    outside = Outside(store, store, keys, clock, SystemEntropy(), Silent(), Passwords())
    allowances = Allowances(PLENTY, PLENTY, PLENTY, PLENTY, PLENTY)
    house = House(outside, issuer=loopback.url, password_grant=True, allowances=allowances)
    client = Client(ClientId("bench"), "native", clock.now(), grant_types=("password",))
    thread.call(store.apply(changed(InsertClient(client))))
    for number in range(PEOPLE):
        added: User = thread.call(house.people.add(f"person-{number:04}", "the right password"))
        assert added.enabled
    thread.serve(house.asgi, loopback)
    return loopback.url


def at_the_grant(http: httpx.Client) -> Guess:
    form = {"grant_type": "password", "client_id": "bench", "password": "a wrong password"}
    return lambda username: http.post("/oauth/token", data={**form, "username": username})


def at_the_page(http: httpx.Client) -> Guess:
    page = http.get("/login", follow_redirects=True)
    hidden = re.findall(r'<input[^>]*type="hidden"[^>]*>', page.text)
    fields = {_attribute(field, "name"): _attribute(field, "value") for field in hidden}
    form = {**fields, "password": "a wrong password"}
    headers = {"origin": str(http.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    return lambda username: http.post("/login", data={**form, "username": username}, headers=headers)


def _attribute(element: str, name: str) -> str:
    found = re.search(f'{name}="([^"]*)"', element)
    assert found, element
    return found[1]


def measured(guess: Guess, refusal: int, samples: int) -> dict[str, list[float]]:
    """Milliseconds until the refusal, for names that are known and such as are not."""
    times: dict[str, list[float]] = {"person": [], "nobody": []}
    order = [kind for kind in times for _ in range(samples)]
    random.shuffle(order)
    for kind in order:
        username = f"{kind}-{random.randrange(PEOPLE):04}"  # noqa: S311 - no secret
        start = time.perf_counter()
        answer = guess(username)
        times[kind].append(1000 * (time.perf_counter() - start))
        if answer.status_code != refusal:
            raise SystemExit(f"not refused as expected: {answer.status_code} {answer.text[:300]}")
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000, help="of each kind and at each door")
    samples = parser.parse_args().samples
    print("| door | known ms | unknown ms | difference ms | ratio | noise ms |", "|---|" + "--:|" * 5, sep="\n")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, ServerThread() as thread:
        url = served(thread, Path(folder))
        for door, prepare, refusal in (("login page", at_the_page, 422), ("password grant", at_the_grant, 400)):
            with httpx.Client(base_url=url, timeout=30) as http:
                guess = prepare(http)
                measured(guess, refusal, 20)  # warm-up
                times = measured(guess, refusal, samples)
            known, unknown = (statistics.median(times[kind]) for kind in ("person", "nobody"))
            halves = (statistics.median(times["person"][half::2]) for half in (0, 1))
            noise = abs(next(halves) - next(halves))
            worst = max(worst, abs(known - unknown))
            difference, ratio = known - unknown, known / unknown
            print(f"| {door} | {known:.2f} | {unknown:.2f} | {difference:+.3f} | {ratio:.4f} | {noise:.3f} |")
    return int(worst > LIMIT_MS)


if __name__ == "__main__":
    raise SystemExit(main())
