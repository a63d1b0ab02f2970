"""Each challenger against the control, from what the history has counted. See `comparisons()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irisab.config import Config
from irisab.errors import ConfigError
from irisab.serving.advice import Situation
from irisab.stats.comparison import Comparison, Unit
from irisab.stats.disagreement import Asked, Disagreement, Failures
from irisab.stats.metric import Metric, chosen
from irisab.stats.paired import Evidence, compare_paired
from irisab.stats.tally import Arm, Shown, Tally
from irisab.stats.unpaired import Arms, compare_unpaired
from irisab.store.history import History
from irisab.store.revision import Revision

# Enough to tell what part of the requests both versions score at present.
SAMPLE_ROWS = 2000
Json = dict[str, Any]


def comparisons(history: History, revision: Revision, served: Config) -> list[Json]:
    """Compare each challenger with the control; they share alpha.

    Raises `ConfigError` where [experiment] weighs classes that the revision does not have.
    """
    pairs = [_Pair(history, revision, served, challenger) for _, challenger in revision.pairs()]
    return [pair.as_json() for pair in pairs]


@dataclass(frozen=True)
class _Pair:
    """The control and a challenger of one revision."""

    history: History
    revision: Revision
    served: Config
    challenger: str

    @property
    def names(self) -> tuple[str, str]:
        return self.revision.control, self.challenger

    def as_json(self) -> Json:
        judged = self._compare()
        return {
            "challenger": self.challenger,
            **judged.as_dict(),
            "next": self._next_step(judged),
        }

    def _compare(self) -> Comparison:
        control, challenger = self.names
        options, split = self.served.experiment, self.revision.split
        judged: Any = {
            # Bonferroni: all challengers together may be wrong with probability alpha.
            "alpha": options.alpha / len([*self.revision.pairs()]),
            "margin": options.margin,
            "names": self.names,
            "shares": (split[control], split[challenger]),
            "metric": self._metric(),
        }
        if options.shadow:
            return compare_paired(self._evidence(), **judged)
        return compare_unpaired(self._arms(), **judged)

    def _metric(self) -> Metric:
        options, revision = self.served.experiment, self.revision
        try:
            return chosen(
                options.metric,
                options.weights,
                names=revision.class_names,
                numbers=revision.class_numbers,
            )
        except ValueError as error:
            raise ConfigError(f"revision {revision.id}: [experiment] weights: {error}") from None

    def _evidence(self) -> Evidence:
        models = [self.revision.models[name] for name in self.names]
        unit: Unit = "user" if self.history.has_users(*models) else "request"
        return Evidence(
            shown=_shown(self.history.tally(*models), models),
            disagreement=Disagreement(
                **self.history.agreement(*models),
                unit=unit,
                sampling_rate=self.history.sampling_rate(
                    self.revision.id, self.names, limit=SAMPLE_ROWS
                ),
                failures=self._failures(models),
            ),
            classes={
                self.revision.class_names[label]: _shown(tallies, models)
                for label, tallies in sorted(self.history.class_tally(*models).items())
                if self.revision.class_names  # a regression has none, and counts all as of one
            },
        )

    def _failures(self, models: Sequence[str]) -> Failures:
        answered, control, challenger = self.history.requests(*models)
        return Failures(control=control, challenger=challenger, answered=answered)

    def _arms(self) -> Arms:
        counts = self.history.class_counts(self.revision.id)
        control, challenger = (
            {label: _arm(each) for label, each in counts.get(name, {}).items()}
            for name in self.names
        )
        unit: Unit = "user" if self.history.has_labellers(self.revision.id) else "request"
        return Arms(
            control=sum(control.values(), Arm()),
            challenger=sum(challenger.values(), Arm()),
            classes={
                self.revision.class_names[label]: (
                    control.get(label, Arm()),
                    challenger.get(label, Arm()),
                )
                for label in sorted({*control, *challenger})
                if self.revision.class_names
            },
            asked=self._asked(),
            unit=unit,
        )

    def _asked(self) -> tuple[Asked, Asked]:
        """Return what each was asked in this revision; what no version answered is nobody's."""
        counts = self.history.version_counts(self.revision.id)
        alone = self._failures([self.revision.models[name] for name in self.names])
        control, challenger = (
            Asked(min(failed, seen.get("errors", 0)), seen.get("requests", 0))
            for failed, seen in zip(
                (alone.control, alone.challenger),
                (counts.get(name, {}) for name in self.names),
                strict=True,
            )
        )
        return control, challenger

    def _next_step(self, judged: Comparison) -> str:
        served, revision = self.served, self.revision
        if (dict(served.split), served.control) != (dict(revision.split), revision.control):
            return f"irisab verdict {self.challenger}"  # what an earlier split asks for is past
        situation = Situation(
            control=revision.control,
            challenger=self.challenger,
            split=revision.split,
            spelled=_spelled(revision),
            feedback=_feedback(served, label='"CLASS"' if revision.class_names else "NUMBER"),
        )
        return situation.next_step(judged)


def _shown(tallies: Mapping[str, Mapping[str, int]], models: Sequence[str]) -> Shown:
    """Sort tallies, by the model whose answer was shown, into the pair's two and the others.

    Two versions of one model share a tally, which must not count twice: it is the control's.
    """
    parts = {model: dict(tally) for model, tally in tallies.items()}
    units = sum(each.pop("units", 0) for each in parts.values())
    control, challenger = (Tally(**parts.pop(model, {})) for model in models)
    other = sum((Tally(**each) for each in parts.values()), Tally())
    return Shown(control=control, challenger=challenger, other=other, units=units)


def _arm(counts: Mapping[str, int]) -> Arm:
    return Arm(labelled=counts["units"], correct=counts["units_correct"])


def _spelled(revision: Revision) -> dict[str, str]:
    """Return how the INI names each class: by its number where its name would be misread."""
    return {
        name: str(number) if {*name} & {*",#"} or name != name.strip() else name
        for name, number in zip(revision.class_names, revision.class_numbers, strict=True)
    }


def _feedback(served: Config, *, label: str) -> str:
    host, port = served.server.address
    here = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    here = f"[{here}]" if ":" in here else here
    return (
        f"curl -sS http://{here}:{port}/feedback -H 'Content-Type: application/json' "
        f'-d \'{{"request_id": "REQUEST_ID", "label": {label}}}\''
    )
