"""The other side of signing.py: signs what it reads on standard input, and ends when that does.

A portion is a list of (algorithm, private key, signing input), its answer the signatures, both in MessagePack behind
their length. The key comes along with each: so there is none to forget here, and a rotation needs no word.
"""

import signal
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import msgspec

from detent.core.api import SigningAlg
from detent.keys.material import SigningKey

LENGTH: Final = 4  # bytes

_portion_in: Final = msgspec.msgpack.Decoder(list[tuple[SigningAlg, bytes, bytes]]).decode
signatures_in: Final = msgspec.msgpack.Decoder(list[bytes]).decode
_encode: Final = msgspec.msgpack.Encoder().encode
_key: Final = lru_cache(8)(SigningKey)


def frame(document: list[Any]) -> bytes:
    encoded = _encode(document)
    return len(encoded).to_bytes(LENGTH, "big") + encoded


def main() -> None:
    for meant_for_the_server in (signal.SIGINT, signal.SIGTERM):  # which still signs while it ends
        signal.signal(meant_for_the_server, signal.SIG_IGN)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(BrokenPipeError):
        while length := asked.read(LENGTH):
            portion = _portion_in(asked.read(int.from_bytes(length, "big")))
            answers.write(frame([_key(alg, material).signature(given) for alg, material, given in portion]))
            answers.flush()


if __name__ == "__main__":
    main()
