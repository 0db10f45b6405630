"""What anybody may do only so often: from one network, and from all of them."""

import pytest

from detent.client_auth.flood import WINDOW, Flood
from detent.core.errors import SlowDown
from detent.core.ids import Instant

BEGIN = Instant(1_000)


def network(number: int) -> str:
    return f"10.{number // 256}.{number % 256}.7"


def test_one_network_waits_alone_and_beyond_the_bound_of_all_everybody_waits() -> None:
    flood = Flood(2, 3)
    flood.count(network(1), BEGIN, "apps were looked up")
    flood.count(network(1), BEGIN, "apps were looked up")
    with pytest.raises(SlowDown, match=f"Too many apps were looked up. Try again in {WINDOW} seconds."):
        flood.count(network(1), BEGIN, "apps were looked up")
    flood.count(network(2), BEGIN, "apps were looked up")
    with pytest.raises(SlowDown):
        flood.count(network(3), BEGIN, "apps were looked up")


def test_who_waits_for_everybodys_sake_is_not_counted_and_takes_no_room() -> None:
    flood = Flood(1, 1)
    flood.count(network(0), BEGIN, "apps were looked up")
    half_way = Instant(BEGIN + WINDOW // 2)
    for number in range(5_000):  # more than are remembered, the bound of all among them
        with pytest.raises(SlowDown):
            flood.count(network(number), half_way, "apps were looked up")
    flood.count(network(1), Instant(BEGIN + WINDOW), "apps were looked up")
