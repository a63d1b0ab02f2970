"""The models that are kept in words: what serves, the exam they sat, the way back. No drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import life
import scores
import words

Json = Mapping[str, Any]


def serving(config: Json) -> dict[str, dict[str, str]]:
    """List what serves, version by version, for a table."""
    control = config["experiment"]["control"]
    return {
        name: {
            "Role": "control" if name == control else "challenger",
            "Share of requests": _share(name, config),
            "On the exam": _exam(each["exam"]),
            "Trained": life.moment(each["trained_at"]),
        }
        for name, each in config["versions"].items()
    }


def _share(name: str, config: Json) -> str:
    share, written = config["effective_split"].get(name, 0), config["split"].get(name)
    if share == written:
        return life.percent(share)
    planned = "none" if written is None else life.percent(written)
    return f"{life.percent(share)} (irisab.ini: {planned})"


def _exam(exam: Json | None) -> str:
    if not exam:
        return "–"
    if exam.get("accuracy") is not None:
        return f"{_tenths(exam['accuracy'])} of {exam['rows']:,} right"
    if exam.get("mae") is None:  # no row for it
        return "–"
    return f"mean error {words.number(exam['mae'])} on {words.count(exam['rows'], 'row')}"


class Exam(NamedTuple):
    """The exam that the control sat: scores by version, and who sat another one, or none."""

    rows: int
    scores: Mapping[str, float]
    others: Sequence[str]


def exam(models: Sequence[Json], *, control: str, task: str) -> Exam | None:
    """Compare the current models on the same rows; None where the control sat no exam."""
    score = "mae" if task == "regression" else "accuracy"
    current = {each["version"]: each for each in models if each["current"] and not each["error"]}
    sat = {
        name: each
        for name, each in current.items()
        if each["exam"] and each["exam"].get(score) is not None
    }
    if control not in sat:
        return None
    papers = {name: _paper(each) for name, each in sat.items()}
    same = [name for name in sat if papers[name] == papers[control]]
    scores = {name: sat[name]["exam"][score] for name in same}
    return Exam(
        sat[control]["exam"]["rows"], scores, [name for name in current if name not in same]
    )


def _paper(model: Json) -> tuple[Any, ...]:
    """Tell exams apart: by the data, the rows, and those of each class."""
    classes = model["exam"].get("per_class") or {}
    rows = tuple((name, each["rows"]) for name, each in classes.items())
    return model["dataset"], model["exam"]["rows"], rows


def on_the_exam(sat: Exam | None, *, control: str, task: str, command: str) -> str:
    """Say in words what each version got on the exam, and the command that lets all sit one."""
    if sat is None:
        return f"{words.plain(control)} sat no exam, so nothing can be compared with it."
    what = "mean error: less is better" if task == "regression" else "right answers"
    got = ", ".join(_got(sat, name, task=task) for name in sat.scores)
    rows = words.count(sat.rows, "row")
    said = f"{got} ({what}, on the same {rows} that none of them has learnt from)."
    if task != "regression":
        said += " Line, and in brackets: where the true share lies, 19 times out of 20."
    if sat.others:
        names = " and ".join(map(words.plain, sat.others))
        said += (
            f" {names} sat another exam, or none; to let all sit the same: "
            f"`{command} evaluate {' '.join([*sat.scores, *sat.others])}`"
        )
    return said


def intervals(sat: Exam) -> dict[str, tuple[float, float, float]]:
    """Give for each version its share of right answers and the interval it lies in: Wilson's."""
    return {
        name: (score, *scores.wilson(round(score * sat.rows), sat.rows))
        for name, score in sat.scores.items()
    }


def _got(sat: Exam, name: str, *, task: str) -> str:
    if task == "regression":
        return f"{words.plain(name)} {words.number(sat.scores[name])}"
    score, low, high = map(_tenths, intervals(sat)[name])
    return f"{words.plain(name)} {score} ({low} to {high})"


def _tenths(share: float) -> str:
    return words.percent(share, digits=1)


def kept(model: Json, config: Json) -> str:
    """Describe a bundle in two lines of Markdown."""
    name = f"**{words.plain(model['version'])}** `{model['bundle']}`"
    if model["error"]:
        return f"{name} · cannot be read: {words.plain(model['error'])}"
    return f"{name} · {_place(model, config)}  \n{' · '.join(_facts(model))}"


def _place(model: Json, config: Json) -> str:
    if model.get("candidate") == "rejected":
        return f"**rejected, gets no traffic**: {words.plain(model.get('reason') or '')}"
    if not model["current"]:
        return "older"
    serves = config["versions"].get(model["version"])
    if serves is None:
        return "current, gets no traffic"
    if serves["trained_at"] != model["trained_at"]:
        return "current, serves after a reload"
    return f"current, {life.percent(config['effective_split'].get(model['version'], 0))}"


def _facts(model: Json) -> Iterator[str]:
    yield words.plain(model["estimator"] or "model")
    rows = f", {words.count(model['rows'], 'row')}" if model["rows"] else ""
    yield words.plain(f"{model['dataset'] or 'other data'}{rows}")
    if model["accuracy"] is not None:
        yield f"{_tenths(model['accuracy'])} when tested"
    if model["mae"] is not None:
        yield f"mean error {words.number(model['mae'])} when tested"
    yield f"exam {_exam(model['exam'])}"
    yield f"trained {life.moment(model['trained_at'])}"


def going_back(models: Sequence[Json], command: str) -> str:
    """Give the command that goes back to the newest older model, if there is one."""
    older = [each for each in models if not each["current"] and not each["error"]]
    if not older:
        return ""
    use = f"models use {older[0]['version']} {older[0]['bundle']}"
    return f"{command} {use}\n{command} reload"
