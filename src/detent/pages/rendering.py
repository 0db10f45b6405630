"""Templates to HTML: escaped always, and a name that a template misses is an error and not a gap.

What a client or a person chose as a name is text, whatever it looks like: template syntax in it stays as it is.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from detent.pages import words


class Rendering:
    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("detent.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters["date"] = words.date
        self._templates.filters["exactly"] = words.exactly
        self._templates.filters["attribute"] = words.machine_date

    def page(self, template: str, /, *, root: str = "", **values: Any) -> str:
        """`root` leads from where the page stands to the folder of all pages, such as "../"."""
        return self._templates.get_template(f"{template}.html").render(root=root, **values)
