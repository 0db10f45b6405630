"""Which Python to measure with: `python -m bench.interpreter` prints the fastest one at hand, if it is not this one.

One that was built without profile-guided optimization, as pyenv builds it unless told, takes a tenth to a quarter more
for a refresh. Asked are this one, those on PATH, and the system's; this one stays unless another is a tenth faster.
"""

import shutil
import subprocess
import sys
from typing import Final

NAMES: Final = ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "/usr/bin/python3")
LEAD: Final = 1.1
ROUNDS: Final = 5
WORK: Final = """
import sys, time
class Thing:
    def __init__(self, name, many):
        self.name, self.many = name, many
    def told(self):
        return {"name": self.name, "many": [each + 1 for each in self.many]}
def work():
    began = time.perf_counter()
    for number in range(6000):
        told = Thing(f"thing {number}", (1, 2, 3)).told()
        told["name"].partition(" ")[2].encode()
    return time.perf_counter() - began
print(min(work() for _ in range(15)) if sys.version_info >= (3, 11) else "too old")
"""


def seconds(python: str) -> float:
    """What it takes for work like ours; infinite if it cannot."""
    done = subprocess.run([python, "-I", "-c", WORK], capture_output=True, text=True, check=False)
    try:
        return float(done.stdout)
    except ValueError:
        return float("inf")


def faster() -> str:
    """Empty if this one stays."""
    paths = [path for path in dict.fromkeys((sys.executable, *map(shutil.which, NAMES))) if path]
    rounds = [{path: seconds(path) for path in paths} for _ in range(ROUNDS)]  # in turn: what disturbs one passes
    took = {path: min(each[path] for each in rounds) for path in paths}
    best = min(took, key=took.__getitem__)
    return best if took[sys.executable] > LEAD * took[best] else ""


if __name__ == "__main__":
    print(faster())
