"""Templates to HTML: escaped always, and a name that a template misses is an error and not a gap.

What a client or a person chose as a name is text, whatever it looks like: template syntax in it stays as it is.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from detent.pages import words

if TYPE_CHECKING:
    from jinja2 import Environment


class Rendering:
    def page(self, template: str, /, *, root: str = "", **values: Any) -> str:
        """`root` leads from where the page stands to the folder of all pages, such as "../"."""
        return self._templates.get_template(f"{template}.html").render(root=root, **values)

    @cached_property
    def _templates(self) -> "Environment":
        from jinja2 import Environment, PackageLoader, StrictUndefined  # a start would take a tenth longer

        templates = Environment(
            loader=PackageLoader("detent.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        templates.filters["date"] = words.date
        templates.filters["exactly"] = words.exactly
        templates.filters["attribute"] = words.machine_date
        return templates
