"""`python -m detent.testing.strategies [PAGE]`: print the tables of docs/strategies.md, or put them there."""

import sys
from pathlib import Path

from detent.testing.strategies.figures import tables, with_figures

if len(sys.argv) > 1:
    page = Path(sys.argv[1])
    page.write_text(with_figures(page.read_text(encoding="utf-8"), tables()), encoding="utf-8")
else:
    for name, table in tables().items():
        sys.stdout.write(f"{name}:\n\n{table}\n\n")
