"""Figures to Markdown: RESULTS.md, and the table of docs/performance.md. Start at `results()`.

Targets are what irisab promises of itself; a figure that misses one is shown as it is, and said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench import servers
from bench.servers import ROOT

RESULTS = ROOT / "bench/RESULTS.md"
PAGE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- from bench/RESULTS.md -->", "<!-- end -->"
MANY = "32"
LEAST, MOST = "at least", "at most"
Json = dict[str, Any]


def write(found: Json) -> None:
    """Write RESULTS.md, and the page's table between its two marks."""
    RESULTS.write_text(results(found))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{comparison(found)}\n{END}{after}")


def results(found: Json) -> str:
    """Return the whole report."""
    return "\n\n".join(
        [
            "# Measured by `make bench`",
            _about(found),
            "## Beside others",
            comparison(found),
            _failures(found),
            _NOTES,
            "## Ratios within a round",
            _ratios(found["compared"]),
            "## Promises",
            _promises(found),
            "## Where a request's microseconds go",
            _stages(found["stages"], found["alone"]),
            "## A thousand rows in one request",
            _batch(found["batch"]),
            "## As the work grows",
            _forests(found["forests"]),
            _histories(found["histories"]),
            "## Scrapes and reports beside predictions",
            _scrapes(found["scrapes"], found["histories"][-1]["rows"]),
            "## What each setting is worth",
            _settings(found["settings"]),
        ]
    ) + "\n"  # fmt: skip


def _about(found: Json) -> str:
    about = found["about"]
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    return (
        f"{about['date']}, {about['cpus']} CPUs ({about['processor']}), Linux {about['kernel']}, "
        f"Python {about['python']}, load {about['load_before']:.1f} before the start. "
        f"{libraries}.\n\n"
        f"Everybody in turn, {found['rounds']} rounds of {found['seconds']} s each; wrk on the "
        "same machine. Median (lowest to highest). Absolute figures belong to this machine and "
        "its other work; ratios travel better."
    )


def comparison(found: Json) -> str:
    """Return the table of the contestants: docs/performance.md shows it, too."""
    rows = [
        [
            name,
            *_speed(by_connections["1"]),
            *_speed(by_connections[MANY]),
            f"{found['compared']['memory_mb'][name]:.0f}",
            f"{found['starts'][name]['median']:.2f}",
        ]
        for name, by_connections in found["compared"]["direct"].items()
    ]
    for name, by_connections in found["compared"]["nginx"].items():
        rows.append([f"{name}, through nginx", *[""] * 4, *_speed(by_connections[MANY]), "", ""])
    head = ["", *_heads(1), *_heads(MANY), "memory, MB", "first answer, s"]
    return _table(head, rows)


def _heads(connections: object) -> list[str]:
    plural = "connection" if connections == 1 else "connections"
    return [f"requests/s, {connections} {plural}", "p50, ms", "p99, ms", "CPU, µs"]


def _speed(summary: Json) -> list[str]:
    return [
        f"{summary['per_second']['median']:,.0f}",
        f"{summary['p50']['median']:.2f}",
        f"{summary['p99']['median']:.1f}",
        f"{summary['cpu']['median']:.0f}",
    ]


def _failures(found: Json) -> str:
    compared = found["compared"]
    failed = {
        f"{name}{way}": errors
        for way, key in (("", "direct"), (" through nginx", "nginx"))
        for name, by_connections in compared[key].items()
        if (errors := sum(of["errors"] for of in by_connections.values()))
    }
    if errors := found["scrapes"]["errors"]:
        failed["beside scrapes and reports"] = errors
    listed = ", ".join(f"{name}: {errors}" for name, errors in failed.items())
    return f"Requests that failed: {listed or 'none'}."


_NOTES = f"""\
- CPU is the server's processor time per request, of all its processes (nginx's not counted).
  Memory is theirs too: pages that two workers share count twice.
- All run with the environment of irisab's unit: one thread for numpy's arrays.
- *{servers.IRISAB}* is `irisab serve` with every default: two versions, shadow and history on.
- *{servers.CONSTANT}* is a waitress app that parses the same JSON and returns a constant of the
  same size, with irisab's own waitress settings; *1 thread* is often the best that waitress does
  for work this short. irisab can be faster than a constant, because it answers short requests in
  the thread that read them, and in one piece. With many connections waitress's threads fight for
  Python's lock instead, and how much that costs depends on the machine: the ratio at one
  connection is the one to count on.
- *{servers.FLASK}* and *{servers.FASTAPI}* are what a tutorial would write: one `predict` of a
  random one of the two versions, without history, shadow, metrics or checks."""


def _ratios(compared: Json) -> str:
    rows = [
        [other, way, _median(of["per_second"]), _median(of["cpu"]), _median(of["p99"])]
        for other, way, of in _each_ratio(compared)
    ]
    return _table(["irisab / other", "connections", "requests/s", "CPU", "p99"], rows)


def _each_ratio(compared: Json) -> Iterator[tuple[str, str, Json]]:
    for other, by_connections in compared["ratios"].items():
        for connections, of in by_connections.items():
            yield other, connections, of
    for other, by_connections in compared["nginx_ratios"].items():
        for connections, of in by_connections.items():
            yield other, f"{connections}, through nginx", of


def _median(found: Json) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def promises(found: Json) -> Iterator[tuple[str, float, str, float]]:
    """Yield what is promised: words, figure, "at least" or "at most", bound."""
    compared, alone = found["compared"], found["alone"]
    one, many = (compared["ratios"][servers.CONSTANT][each] for each in ("1", MANY))
    flask, fastapi = (
        compared["ratios"][name][MANY]["per_second"]["median"]
        for name in (servers.FLASK_WAITRESS, servers.FASTAPI)
    )
    for words, of in (("1 connection", one), ("32 connections", many)):
        yield f"requests/s beside the constant, {words}", of["per_second"]["median"], LEAST, 0.85
        yield f"CPU beside the constant, {words}", of["cpu"]["median"], MOST, 1.2
    yield "p99 beside the constant, 32 connections", many["p99"]["median"], MOST, 1.5
    yield "requests/s beside Flask on waitress, 32 connections", flask, LEAST, 20
    yield "requests/s beside FastAPI on uvicorn, 32 connections", fastapi, LEAST, 6
    yield "a row scored by both versions, µs", alone["both forests"], MOST, 2
    yield "memory, MB: the most of all parts", _memory(found), MOST, 60
    yield "first answer, s", found["starts"][servers.IRISAB]["median"], MOST, 0.5
    for case, batch in found["batch"]["cases"].items():
        yield f"1,000 rows beside predict_proba, {case}", batch["ratio"]["median"], MOST, 1
    scraped, largest = found["scrapes"]["scraped"], found["histories"][-1]
    yield "p99 scraped each second, beside not scraped", scraped["p99_ratio"]["median"], MOST, 1.1
    slowed = scraped["per_second_ratio"]["median"]
    yield "requests/s scraped each second, beside not scraped", slowed, LEAST, 0.9
    words = f"a report on {largest['rows']:,} predictions, ms"
    yield words, largest["report_ms"], MOST, 1000


def _memory(found: Json) -> float:
    compared = float(found["compared"]["memory_mb"][servers.IRISAB])
    return max(compared, found["batch"]["memory_mb"], found["scrapes"]["memory_mb"])


def is_kept(figure: float, kind: str, bound: float) -> bool:
    """Tell whether a figure is on the promised side of its bound."""
    return figure >= bound if kind == LEAST else figure <= bound


def _promises(found: Json) -> str:
    rows = []
    for words, figure, kind, bound in promises(found):
        kept = "yes" if is_kept(figure, kind, bound) else "**no**"
        rows.append([words, f"{kind} {bound:g}", f"{figure:.2f}", kept])
    return _table(["", "promised", "measured", "kept"], rows)


def _stages(live: Json, alone: Json) -> str:
    rows = [[stage, f"{spent:.1f}"] for stage, spent in live["stages"].items()]
    rows.append(["together", f"{live['cpu']:.1f}"])
    first = _table([f"in a server under load ({live['samples']:,} samples)", "µs"], rows)
    second = _table(
        ["alone in a loop", "µs"], [[stage, f"{spent:.2f}"] for stage, spent in alone.items()]
    )
    words = "A forest alone gets rows that it has never seen, so it can remember nothing of them."
    return f"{first}\n\n{second}\n\n{words}"


def _batch(found: Json) -> str:
    rows = [
        [case, *(_median(of[key]) for key in ("irisab_ms", "predict_proba_ms", "ratio"))]
        for case, of in found["cases"].items()
    ]
    words = (
        "JSON, HTTP, metrics and history included. The answers are equal to the last bit. "
        f"Memory at the end: {found['memory_mb']:.0f} MB."
    )
    head = ["scored by", "irisab, ms", "predict_proba on the array, ms", "ratio"]
    return f"{words}\n\n{_table(head, rows)}"


def _forests(found: Sequence[Json]) -> str:
    rows = [
        [
            *(f"{of[key]:,}" for key in ("trees", "features", "classes", "samples", "nodes")),
            of["form"],
            *(f"{of[key]:,.1f}" for key in _TIMES),
        ]
        for of in found
    ]
    head = ["trees", "features", "classes", "trained on", "nodes", "form chosen", "load, ms"]
    head += ["a row, µs", "predict_proba, µs", "a row of 500, µs", "predict_proba, µs"]
    return _table(head, rows)


_TIMES = (
    "load_ms",
    "row_us",
    "predict_proba_row_us",
    "batch_row_us",
    "predict_proba_batch_row_us",
)


def _histories(found: Sequence[Json]) -> str:
    rows = [
        [f"{of['rows']:,}", *(f"{of[key]:,.1f}" for key in ("report_ms", "scrape_ms"))]
        + [f"{of['bytes_a_row']:.0f}"]
        for of in found
    ]
    head = ["predictions in the history", "/report, ms", "/metrics, ms", "bytes a prediction"]
    return _table(head, rows)


def _scrapes(found: Json, rows_of_history: int) -> str:
    rows = [
        [words, *(_median(found[key][figure]) for figure in _SCRAPE_FIGURES)]
        for words, key in (
            ("/metrics and /report each second", "scraped"),
            ("/report without a pause", "reporting"),
            ("/health without a pause", "healthy"),
        )
    ]
    words = (
        f"{rows_of_history:,} predictions in the history, 32 connections; "
        f"quiet, the 99th percentile is {found['quiet']['p99']['median']:.1f} ms. "
        f"Memory at the end: {found['memory_mb']:.0f} MB."
    )
    head = ["", "requests/s beside quiet", "p99 beside quiet", "one fetch, ms"]
    return f"{words}\n\n{_table(head, rows)}"


def _settings(found: Json) -> str:
    rows = [
        [words, where, *(_median(of[figure]) for figure in ("per_second", "cpu", "p99"))]
        for where, changes in found.items()
        for words, of in changes.items()
    ]
    head = ["irisab, changed", "in", "requests/s", "CPU", "p99"]
    words = (
        "32 connections; each figure is divided by that of the same round without the change. "
        "Below 1 in requests/s, the setting that was changed is worth having."
    )
    return f"{words}\n\n{_table(head, rows)}"


_SCRAPE_FIGURES = ("per_second_ratio", "p99_ratio", "fetch_ms")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
