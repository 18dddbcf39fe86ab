"""Charts for the documents: lines over a measured size, as SVG that needs nothing to be shown."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 900
HEIGHT: Final = 420
LEFT: Final = 70
RIGHT: Final = 360
TOP: Final = 20
BOTTOM: Final = 50
FONT: Final = 'font-family="sans-serif" font-size="12"'
COLOURS: Final = ("#0b6bcb", "#c2410c", "#15803d", "#7e22ce", "#0891b2", "#be123c", "#4d7c0f", "#a16207")

Points = Sequence[tuple[float, float]]


def line_chart(lines: Mapping[str, Points], *, x: str, y: str, aim: float) -> str:
    """`lines` by name over a linear x, with a logarithmic y from 1 up, and the aim as a dashed line."""
    right = max(point[0] for points in lines.values() for point in points) * 1.05
    top = max(aim * 2, *(point[1] for points in lines.values() for point in points))
    decades = math.ceil(math.log10(top))

    def across(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / right

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log10(max(value, 1)) / decades

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x, "middle"),
        f'<g transform="rotate(-90 16 {HEIGHT / 2})">{_text(16, HEIGHT / 2, y, "middle")}</g>',
    ]
    for decade in range(decades + 1):
        height = up(10**decade)
        drawn.append(f'<path d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        drawn.append(_text(LEFT - 8, height + 4, f"{10**decade}", "end"))
    places = sorted({point[0] for points in lines.values() for point in points})
    drawn += [_text(across(place), HEIGHT - BOTTOM + 18, f"{place:g}", "middle") for place in places]
    drawn.append(f'<path d="M{LEFT} {up(aim):.1f}H{WIDTH - RIGHT}" stroke="#444" stroke-dasharray="6 4"/>')
    drawn.append(_text(LEFT + 6, up(aim) - 6, f"aim: {aim:g}", "start"))
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{across(place):.1f} {up(value):.1f}" for place, value in points)
        drawn.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [
            f'<circle cx="{across(place):.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"/>' for place, value in points
        ]
        height = TOP + 40 + 22 * number
        drawn.append(f'<rect x="{WIDTH - RIGHT + 24}" y="{height - 9}" width="14" height="4" fill="{colour}"/>')
        drawn.append(_text(WIDTH - RIGHT + 44, height - 3, name, "start"))
    return "\n".join([*drawn, "</svg>", ""])


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222">{escape(words)}</text>'
