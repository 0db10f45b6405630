"""A network with a switch and a namespace for each host, where a cable can be pulled: packets vanish, nobody is told.

Tests themselves are at the switch, as FIRST; hosts are numbered from 2.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SUBNET: Final = "10.213.77"
FIRST: Final = f"{SUBNET}.1"
_SWITCH: Final = "detentsw"


def ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, (arguments, done.stderr)


class Host:
    def __init__(self, number: int) -> None:
        self.address = f"{SUBNET}.{number}"
        self._space, self._port = f"detent{number}", f"detentp{number}"
        self.within = ("ip", "netns", "exec", self._space)

    def make(self) -> None:
        ip("netns", "add", self._space)
        ip("link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        for part in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            ip("-n", self._space, *part)
        ip("-n", self._space, "link", "set", "lo", "up")
        ip("link", "set", self._port, "up")
        self.plug()

    def pull(self) -> None:
        ip("link", "set", self._port, "nomaster")

    def plug(self) -> None:
        ip("link", "set", self._port, "master", _SWITCH)

    def remove(self) -> None:
        ip("link", "del", self._port, check=False)
        ip("netns", "del", self._space, check=False)


@contextmanager
def network(many: int) -> Iterator[list[Host]]:
    hosts = [Host(number) for number in range(2, 2 + many)]
    _remove(hosts)  # what a run left that was killed
    try:
        ip("link", "add", "name", _SWITCH, "type", "bridge")
        ip("addr", "add", f"{FIRST}/24", "dev", _SWITCH)
        ip("link", "set", _SWITCH, "up")
        for host in hosts:
            host.make()
        yield hosts
    finally:
        _remove(hosts)


def _remove(hosts: list[Host]) -> None:
    for host in hosts:
        host.remove()
    ip("link", "del", _SWITCH, check=False)
