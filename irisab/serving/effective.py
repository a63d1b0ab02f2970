"""Which split serves: a function of the INI file and of a rollout's state. Start at `effective()`.

It is worked out wherever a snapshot is built, so reload, restart and the last good INI agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace

from irisab.config import Config
from irisab.store.rollouts import Rollout

# With these, the version that is rolled out answers nothing beyond what [split] gives it.
_BY_THE_INI = ("aborted", "superseded")
_AS_CONTROL = ("baking", "promoted")


def settings_of(options: Config) -> str:
    """Return what a rollout is bound to: [split], [experiment] and [rollout], as JSON.

    Defaults are left out, so that an option of a newer irisab changes nothing.
    """
    said = {
        section: {
            each.name: getattr(part, each.name)
            for each in fields(part)
            if getattr(part, each.name) != each.default
        }
        for section, part in (("experiment", options.experiment), ("rollout", options.rollout))
    }
    return json.dumps({"split": dict(options.split), **said}, sort_keys=True)


def edited(options: Config, rollout: Rollout) -> bool:
    """Tell whether a person has changed what the rollout is bound to."""
    return settings_of(options) != rollout.settings


def replaced(rollout: Rollout, models: Mapping[str, str]) -> list[str]:
    """Return the versions of a rollout that are no more the models, by hash, they were.

    Once it is promoted, a new model of the old version is nothing to it.
    """
    bound = [rollout.version] if rollout.state == "promoted" else [*rollout.models]
    return [name for name in bound if models.get(name) != rollout.models[name]]


def needed(options: Config, rollout: Rollout | None) -> list[str]:
    """Return the versions that must be loaded: those of [split], and those of the rollout."""
    extra = [] if rollout is None or edited(options, rollout) else _split(options, rollout)
    return sorted({*options.split, *extra})


def effective(options: Config, rollout: Rollout | None, models: Mapping[str, str]) -> Config:
    """Return the configuration that serves; `models` are the hashes of the versions.

    The INI file's own, unless a rollout is in force.
    """
    if rollout is None or edited(options, rollout) or replaced(rollout, models):
        return options
    as_control = (rollout.paused_in or rollout.state) in _AS_CONTROL
    # Said in any case: a new version that is the first by name would be taken for it.
    control = rollout.version if as_control else options.control
    experiment = replace(options.experiment, control=control)
    return replace(options, split=_split(options, rollout), experiment=experiment)


def _split(options: Config, rollout: Rollout) -> dict[str, float]:
    """Give the version its percentage, out of the shares of the others in proportion."""
    given = options.split.get(rollout.version, 0.0)
    if rollout.state in _BY_THE_INI or (rollout.state == "rolled_back" and not given):
        return dict(options.split)
    others = {name: share for name, share in options.split.items() if name != rollout.version}
    total = sum(others.values())
    if not total:  # the version has it all in [split], which a rollout is there to earn
        others, total = {**others, rollout.control: 100.0}, 100.0
    left = 100 - rollout.percent
    shares = {name: round(share * left / total, 10) for name, share in others.items()}
    return dict(sorted({**shares, rollout.version: rollout.percent}.items()))
