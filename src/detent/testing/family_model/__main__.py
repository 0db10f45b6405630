"""`python -m detent.testing.family_model [PAGE]`: print the figures of docs/family.md, or write them into the page."""

import sys
from pathlib import Path

from detent.testing.family_model.figures import TABLES, with_figures

if len(sys.argv) > 1:
    page = Path(sys.argv[1])
    page.write_text(with_figures(page.read_text(encoding="utf-8"), TABLES), encoding="utf-8")
else:
    for name, table in TABLES.items():
        sys.stdout.write(f"{name}: {table.__doc__}\n\n{table()}\n\n")
