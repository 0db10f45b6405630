"""Attack row F7 over HTTP and with real processes: a clock that is set wrong signs nobody out and revives nothing."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from detent.core.ids import Instant
from detent.core.policy import DAY
from detent.grants.authorization_code import CODE_LIFE
from detent.testing.clock import ManualClock
from tests.cli.conftest import Cli
from tests.core.test_clock import HOUR, START, YEAR, Dials
from tests.faults.nodes import Installation, Node, nodes
from tests.serving import running

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]
SERVED = ("--issuer", "https://id.example/", "--port", "0", "--proxies", "1")


class Machine(ManualClock):
    """The clock that a server has, on a machine whose clock can be set."""

    def __init__(self) -> None:
        self.dials = Dials()
        self._clock = self.dials.clock()
        super().__init__(START)

    def now(self) -> Instant:
        return self._clock.now()

    def advance(self, seconds: int) -> Instant:
        self.dials.pass_by(seconds)
        return self.now()


@pytest.mark.parametrize("leap", [HOUR, -HOUR, 10 * YEAR, -10 * YEAR], ids=["1 h", "-1 h", "10 y", "-10 y"])
def test_fault_f7_a_clock_that_is_set_while_it_is_served_changes_nothing_for_anybody(
    leap: int, tmp_path: Path, keys_folder: Path
) -> None:
    machine = Machine()
    with running(tmp_path, keys_folder, "sqlite", clock=machine) as detent:
        honest, expired = detent.sign_in("app"), detent.code("app")
        machine.advance(CODE_LIFE + 1)
        keys = detent.http.get("/.well-known/jwks.json").json()
        for _ in range(2):
            machine.dials.wall += leap
            assert detent.redeem("app", expired).status_code == 400, "what expired stays expired"
            assert detent.secret(honest["access_token"]).status_code == 200
            assert detent.http.get("/.well-known/jwks.json").json() == keys
            assert detent.thread.call(detent.store.sweep(machine.now(), retention=0)) == 0
            machine.advance(90)
            honest = detent.refreshed("app", honest["refresh_token"])
            machine.dials.wall -= leap
            assert detent.redeem("app", expired).status_code == 400
            machine.advance(90)
            honest = detent.refreshed("app", honest["refresh_token"])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Each test leaves it as it was: served, and its clock right."""
    return Installation(tmp_path_factory.mktemp("clock"), proxies="1")


def signed_in(installation: Installation, node: Node) -> str:
    answer = node.ask("/oauth/token", installation.clients["strict"], grant_type="password", **installation.person)
    return str(answer.json()["refresh_token"])


def served_later(installation: Installation, seconds: int) -> None:
    """As if the clock had been off by this when it was served."""
    with closing(apsw.Connection(str(installation.data / "detent.db"))) as db:
        db.execute("UPDATE installation SET latest = latest + ?", (seconds,))


@pytest.mark.parametrize(
    ("off", "told"), [(HOUR, "would be good again"), (10 * YEAR, "good again"), (-10 * YEAR, "would be signed out")]
)
def test_fault_f7_a_start_with_a_clock_far_off_is_refused_and_nobody_is_signed_out(
    installation: Installation, off: int, told: str
) -> None:
    with nodes(installation, 1) as [node]:
        token = signed_in(installation, node)
    served_later(installation, off)
    code, refused = Cli(installation.data).refused("serve", *SERVED)
    assert (code, told in refused, "detent clock --accept" in refused) == ("store_unavailable", True, True)
    assert told in installation.doctor()["the clock goes on from where the store was served last"]["advice"]
    accepted = installation.command("clock", "--accept")
    assert accepted["advice"] == ""
    assert abs(accepted["latest"] - accepted["now"]) < 60
    with nodes(installation, 1) as [node]:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        assert node.ask("/oauth/token", installation.clients["strict"], **form).status_code == 200


def test_fault_f7_after_a_long_pause_the_sweep_waits_for_a_day(installation: Installation) -> None:
    with nodes(installation, 1):
        pass
    with closing(apsw.Connection(str(installation.data / "detent.db"))) as db:
        db.execute("INSERT INTO record VALUES ('test', 'expired', 1, 0, x'')")
        db.execute("UPDATE installation SET latest = latest - ?", (30 * DAY,))
    with nodes(installation, 1) as [node]:
        signed_in(installation, node)
        installation.command("clock")
    with closing(apsw.Connection(str(installation.data / "detent.db"))) as db:
        assert db.execute("SELECT key FROM record WHERE kind = 'test'").fetchall() == [("expired",)]
    with nodes(installation, 1) as [node], closing(apsw.Connection(str(installation.data / "detent.db"))) as db:
        for _ in range(200):
            signed_in(installation, node)
            if not db.execute("SELECT key FROM record WHERE kind = 'test'").fetchall():
                break
        assert not db.execute("SELECT key FROM record WHERE kind = 'test'").fetchall(), "swept at an ordinary start"
