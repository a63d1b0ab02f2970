"""What the pictures of the pages are put together from: SVG as text."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

INK, PALE, LINE = "#222", "#666", "#ddd"


def picture(parts: Iterable[str], *, height: int, width: int = 800) -> str:
    """Return a whole SVG file, white behind its parts."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def title(words: str, *, left: float = 40) -> str:
    return f'<text x="{left}" y="24" font-size="16" font-weight="600">{escape(words)}</text>'


def text(x: float, y: float, words: str, *, fill: str = INK, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}">{escape(words)}</text>'
    )


def line(*points: tuple[float, float], stroke: str = INK, width: float = 1, dash: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"{dashed}/>'
    )


def box(x: float, y: float, width: float, height: float, *, fill: str, stroke: str = "none") -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{fill}" stroke="{stroke}" shape-rendering="crispEdges"/>'
    )
