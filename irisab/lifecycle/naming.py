"""What the classes of an imported model are called. Start at `namings()`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from irisab.errors import DataError
from irisab.lifecycle.fitted import Fitted
from irisab.lifecycle.known import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What the classes of a model are called, in its order, and their numbers."""

    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


def namings(fitted: Fitted, named: Sequence[str] | None, known: Known | None) -> Iterator[Naming]:
    """Yield what the classes may be called, the likeliest first."""
    if fitted.task == "regression":
        if named:
            raise DataError("--classes: the model is a regressor, and has no classes")
        yield Naming()
        return
    whole = all(type(each) is int for each in fitted.classes)
    texts = tuple(map(str, fitted.classes))
    numbers = fitted.classes if whole else tuple(range(len(texts)))
    if named:
        if len(named) != len(texts):
            raise DataError(
                f"--classes names {len(named)} classes, the model has {len(texts)}: "
                f"{', '.join(texts)}"
            )
        yield Naming(names=tuple(named), numbers=numbers)
        return
    if known is not None and whole and known.class_numbers == numbers:
        yield Naming(names=known.class_names, numbers=numbers)
    yield Naming(names=texts, numbers=numbers)


def misfit(labels: Sequence[str], naming: Naming) -> str:
    strange = [each for each in labels if each not in naming.names]
    told = f"has {few(strange)}, and the model's classes are {few(naming.names)}"
    if len(labels) == len(naming.names) == len(strange):
        # Most likely in the order of the alphabet; but nobody has said so.
        return f"{told}: say in this order what these are called: --classes NAME,NAME,..."
    return f"{told}: leave out the rows of classes that it has never learnt"


def few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
