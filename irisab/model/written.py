"""Python code written for one model: the fastest way to read a tree or a column in this language.

A test costs a third of what a loop over arrays takes for it. Nothing but numbers that went through
`float` or `int`, and texts that went through `repr`, is ever put into the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any


def literal(value: float | str) -> str:
    """Return Python that reads back as the same value; not for NaN."""
    if isinstance(value, str):
        return repr(str(value))
    # Python has no literal for infinity, but reads one that is too large as it.
    return repr(float(value)) if math.isfinite(value) else ("1e999" if value > 0 else "-1e999")


class Source:
    """The lines of a function in the making; equal expressions become one variable."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self._lines: list[str] = []
        self._names: dict[str, str] = {}

    def let(self, expression: str) -> str:
        """Return the variable that holds an expression."""
        if expression not in self._names:
            self._names[expression] = f"v{len(self._names)}"
            self._lines.append(f"{self._names[expression]} = {expression}")
        return self._names[expression]

    def share(self, value: Any) -> str:
        """Return a name under which the code finds a value of ours."""
        name = f"g{len(self.scope)}"
        self.scope[name] = value
        return name

    def function(self, arguments: str, result: str) -> Callable[..., Any]:
        """Return the function that ends with this result."""
        return compiled(arguments, [*self._lines, f"return {result}"], self.scope)


def compiled(arguments: str, lines: Sequence[str], scope: dict[str, Any]) -> Callable[..., Any]:
    """Return a function made of these lines."""
    text = f"def written({arguments}):\n " + "\n ".join(lines)
    names = dict(scope)
    exec(compile(text, "<written>", "exec"), names)
    function: Callable[..., Any] = names["written"]
    return function
