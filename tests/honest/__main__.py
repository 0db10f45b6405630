"""`python -m tests.honest REFRESHES [COMPARED]`: run the simulation, write its figures into docs/honest.md.

COMPARED is the size of the runs that compare policies (10,000 unless told).
"""

import sys
from pathlib import Path

from tests.honest.figures import write_page

refreshes = int(sys.argv[1])
compared = int(sys.argv[2]) if len(sys.argv) > 2 else min(refreshes, 10_000)
found = write_page(Path("docs/honest.md"), refreshes, compared)
for violation in found:
    sys.stdout.write(f"{violation}\n")
sys.exit(bool(found))
