"""One line in a small SVG: what a curve needs and no more. The vertical axis begins at 0, so that flat looks flat."""

from collections.abc import Sequence
from html import escape
from math import log10

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 260, 64, 16, 32, 32


def plot(title: str, xs: Sequence[float], ys: Sequence[float], *, logarithmic: bool) -> str:
    """`logarithmic`: of the horizontal axis. Each point has its value written at the axis."""
    places = [log10(x) if logarithmic else x for x in xs]
    first, span = min(places), max(places) - min(places) or 1
    top = _round_up(max(ys))

    def across(place: float) -> float:
        return LEFT + (place - first) / span * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    drawn = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    for step in range(5):
        y = top * step / 4
        drawn.append(f'<path d="M{LEFT} {down(y):.1f}H{WIDTH - RIGHT}" stroke="#8884"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{down(y) + 4:.1f}" text-anchor="end">{y:,g}</text>')
    for place, x in zip(places, xs, strict=True):
        drawn.append(f'<text x="{across(place):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{_short(x)}</text>')
    points = [(across(place), down(y)) for place, y in zip(places, ys, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn.append(f'<polyline points="{path}" fill="none" stroke="#0a7d6c" stroke-width="2"/>')
    drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0a7d6c"/>' for x, y in points]
    style = "text{font:12px sans-serif;fill:#777}"
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">'
        f"<title>{escape(title)}</title><style>{style}</style>\n{body}\n</svg>\n"
    )


def _round_up(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    power = 10 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return next((power * step for step in (1, 2, 2.5, 5) if power * step >= value), power * 10)


def _short(number: float) -> str:
    for size, name in ((10**6, " M"), (10**3, " k")):
        if number >= size:
            return f"{number / size:g}{name}"
    return f"{number:g}"
