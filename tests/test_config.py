"""The INI file: what is accepted, and what a person is told about the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisab import config
from irisab.errors import ConfigError
from irisab.store import recorder

SAMPLE = Path(__file__).parent.parent / "irisab.ini.sample"
BASE = Path("/somewhere")


# Where bootstrap.sh puts the sample.
HOST = Path("/etc")


def parse(text: str, *, base: Path = BASE) -> config.Config:
    return config.parse(text, source=Path("irisab.ini"), base=base)


def uncommented(text: str) -> str:
    """Take the # off each line that is an option or a section; prose has a space after it."""
    return re.sub(r"^#(?=\[|\w+ =)", "", text, flags=re.MULTILINE)


# -- the sample -----------------------------------------------------------------------------


def test_the_sample_as_shipped_is_the_defaults() -> None:
    """A copy of the sample that nobody edited changes nothing."""
    assert parse(SAMPLE.read_text()) == parse("")


def test_the_sample_shows_each_option_at_its_default() -> None:
    """What the sample shows, commented, is what holds where nothing is said."""
    assert parse(uncommented(SAMPLE.read_text()), base=HOST) == parse("", base=HOST)


def test_the_sample_shows_every_option() -> None:
    """No option has to be found in the code."""
    shown: dict[str, set[str]] = {}
    for line in uncommented(SAMPLE.read_text()).splitlines():
        if found := re.match(r"\[(\w+)", line):
            options = shown.setdefault(found[1], set())
        elif found := re.match(r"(\w+) =", line):
            options.add(found[1])
    classes = {
        "server": config.ServerOptions,
        "auth": config.AuthOptions,
        "data": config.DataOptions,
        "training": config.TrainingOptions,
        "experiment": config.ExperimentOptions,
        "rollout": config.RolloutOptions,
        "drift": config.DriftOptions,
        "retrain": config.RetrainOptions,
    }
    assert shown.pop("split") == {"v1", "v2"}
    assert shown.pop("model") == {"n_estimators"}  # the others are scikit-learn's
    assert shown == {name: set(cls.__slots__) for name, cls in classes.items()}


def test_defaults() -> None:
    """Without any file content the documented figures hold."""
    found = parse("")
    assert found.server.address == ("127.0.0.1", 5000)
    assert (found.server.max_body_bytes, found.server.max_rows) == (65536, 1000)
    assert found.data.models == Path("/var/lib/irisab/models")
    assert found.data.history == Path("/var/lib/irisab/history.sqlite3")
    assert found.split == {"v1": 50, "v2": 50}
    assert found.models == {
        "v1": config.ModelOptions(n_estimators=50),
        "v2": config.ModelOptions(n_estimators=100),
    }
    assert found.training == config.TrainingOptions() and not found.names_data
    assert found.control == "v1"
    assert (found.drift.window, found.drift.threshold) == (100, 0.3)


def test_the_largest_request_fits_into_the_queue() -> None:
    """No accepted max_rows lets a batch in that the history could never take."""
    bounds = config.ServerOptions.__dataclass_fields__["max_rows"].metadata
    assert bounds["high"] <= recorder.QUEUE_ROWS


# -- accepted -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "shares"),
    [
        ("v1 = 90\nv2 = 10", {"v1": 90, "v2": 10}),
        ("v1 = 0\nv2 = 100", {"v1": 0, "v2": 100}),
        ("b = 33\na = 33\nc = 34", {"a": 33, "b": 33, "c": 34}),
        ("v1 = 33.33\nv2 = 33.33\nv3 = 33.34", {"v1": 33.33, "v2": 33.33, "v3": 33.34}),
        ("v1 = 0.1\nv2 = 0.2\nv3 = 99.7", {"v1": 0.1, "v2": 0.2, "v3": 99.7}),
        ("v1 = 12.5 # an eighth\nv2 = 87.5\t# the rest", {"v1": 12.5, "v2": 87.5}),
        ("V1 = 40\nv1 = 60", {"V1": 40, "v1": 60}),
        ("only = 100", {"only": 100}),
    ],
)
def test_shares_that_add_up_are_accepted(lines: str, shares: dict[str, float]) -> None:
    """Any number of versions, decimals, comments; case counts, the order of lines does not."""
    found = parse(f"[split]\n{lines}\n").split
    assert found == shares
    assert list(found) == sorted(shares)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_hundredths_that_add_up_are_accepted(cents: list[int]) -> None:
    """Sums are decimal: what a person adds up to 100 is 100, whatever binary floats say."""
    cents = [each * 10_000 // sum(cents) for each in cents]
    cents[0] += 10_000 - sum(cents)
    lines = [f"v{n} = {each // 100}.{each % 100:02d}" for n, each in enumerate(cents)]
    assert len(parse("[split]\n" + "\n".join(lines)).split) == len(cents)


def test_values_are_read() -> None:
    """Comments after values, spaces, percent signs, relative paths and empty values mean what
    they seem to."""
    found = parse(
        "; a comment\n# another\n"
        "[server]\nlisten = [::1]:80   # IPv6\nthreads=8\ndrain_seconds = 2.5\n"
        "[data]\nmodels = models\nhistory = /data/100%/h.sqlite3\n"
        "[model.v1]\nmax_depth =\n[model.v3]\nmax_depth = 3\nrandom_state = 0\n"
        "[experiment]\nname = May #2 = 50%\nshadow = OFF\ncontrol =\n"
    )
    assert found.server.address == ("::1", 80)
    assert (found.server.threads, found.server.drain_seconds) == (8, 2.5)
    assert found.data.models == BASE / "models"
    assert found.data.history == Path("/data/100%/h.sqlite3")
    assert found.models == {
        "v1": config.ModelOptions(max_depth=None),
        "v2": config.ModelOptions(n_estimators=100),
        "v3": config.ModelOptions(max_depth=3, random_state=0),
    }
    assert found.experiment == config.ExperimentOptions(name="May", shadow=False)


def test_a_section_adds_a_version_and_takes_none_away() -> None:
    """Versions are those of [split] and of [model.*] together."""
    assert list(parse("[model.v3]\n").models) == ["v1", "v2", "v3"]
    assert list(parse("[split]\nmine = 100\n[model.v1]\nkind = extra_trees\n").models) == [
        *("mine", "v1")
    ]


def test_training_is_read() -> None:
    """A path starts at the file; titles may have blanks; nothing said is Iris."""
    found = parse(
        "[training]\ndata = my data.csv\ntarget = the class\nignore = Id, row number\n"
        "group = patient\nseparator = ;\ndecimal = ,\ntask = regression\nkeep_mb = 0\n"
    )
    assert found.training == config.TrainingOptions(
        data=BASE / "my data.csv",
        target="the class",
        ignore=("Id", "row number"),
        group="patient",
        separator=";",
        decimal=",",
        task="regression",
        keep_mb=0,
    )
    assert found.names_data
    assert parse("[training]\ndata = iris\n").names_data
    assert parse("[training]\ndata = iris\n").training.data is None
    assert not parse("[training]\ntask = auto\n").names_data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("yes", True),
        ("False", False),
        ("", None),
        ("None", None),
        ("sqrt", "sqrt"),
        ("...", "..."),
    ],
)
def test_a_models_options_are_scikit_learns(text: str, value: object) -> None:
    """Numbers, truth values, None and words; what each option may be is judged by `train`."""
    found = parse(f"[model.v1]\nkind = extra_trees\nself = {text}\n").models["v1"]
    assert (found.kind, found.options) == ("extra_trees", {"self": value})
    assert type(found.options["self"]) is type(value)


def test_weights_are_read() -> None:
    """Of classes by name or number; a name may have spaces and colons."""
    found = parse("[experiment]\nweights = fraud: 20, ok : 1,3:0.5, a: b: 2e1  # worth it\n")
    assert found.experiment.weights == {"fraud": 20, "ok": 1, "3": 0.5, "a: b": 20}
    assert parse("[experiment]\nweights =\n").experiment.weights is None
    assert parse("[experiment]\nmetric = balanced\n").experiment.metric == "balanced"


def test_a_file_with_windows_line_ends_and_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """A file that went through Notepad is the same file."""
    path = tmp_path / "irisab.ini"
    path.write_bytes("\ufeff[split]\r\nv1 = 100\r\n".encode())
    assert config.load(path).split == {"v1": 100}


def test_relative_paths_start_at_the_file_or_at_base(tmp_path: Path) -> None:
    """last-good.ini lies elsewhere than the INI whose paths it repeats."""
    path = tmp_path / "irisab.ini"
    path.write_text("[data]\nhistory = h.sqlite3\n")
    assert config.load(path).data.history == tmp_path / "h.sqlite3"
    assert config.load(path, base=BASE).data.history == BASE / "h.sqlite3"


# -- refused --------------------------------------------------------------------------------

BROKEN = {
    # structure
    "default section": ("[DEFAULT]\nthreads = 5\n", "[DEFAULT]: unknown section"),
    "unknown section": ("[servr]\n", "[servr]: unknown section; there are [server]"),
    "case of a section": ("[Server]\n", "[Server]: unknown section"),
    "unknown option": ("[drift]\nwindwo = 5\n", "[drift] windwo = 5: unknown option; there are w"),
    "case of an option": ("[drift]\nWindow = 50\n", "[drift] Window = 50: unknown option"),
    "option twice": ("[split]\nv1 = 50\nv1 = 50\n", "[split] v1: is there twice (line 3)"),
    "section twice": ("[drift]\n[split]\n[drift]\n", "[drift]: is there twice (line 3)"),
    "no section": ("v1 = 50\n", "line 1: 'v1 = 50' stands before any [section]"),
    "not an option": ("[split]\nv1: 50\n", "line 2: 'v1: 50' is not 'option = value'"),
    "no name": ("[split]\n= 50\n", "line 2: '= 50' is not 'option = value'"),
    "continued": ("[drift]\nwindow = 100\n  5\n", "[drift] window = 100 5: goes on in an indented"),
    "broken header": ("[split\nv1 = 50\n", "line 1: '[split' stands before any [section]"),
    "option beside its section": (
        "[data]\n[split] v1 = 90\nv2 = 10\n",
        "[split] v1 ...: a [section] needs a line of its own",
    ),
    "word beside its section": ("[drift] now\nwindow = 50\n", "'[drift] now' stands before any"),
    "NUL": ("[\0]\nx = 1\n", "NUL"),
    # values
    "not whole": ("[server]\nthreads = 4.5\n", "[server] threads = 4.5: must be a whole number"),
    "not a number": ("[drift]\nthreshold = high\n", "[drift] threshold = high: must be a number"),
    "NaN": ("[drift]\nthreshold = nan\n", "[drift] threshold = nan: must be a number"),
    "signalling NaN": ("[drift]\nthreshold = sNaN\n", "[drift] threshold = sNaN: "),
    "infinite": ("[server]\ndrain_seconds = inf\n", "drain_seconds = inf: must be a number"),
    "too small": ("[drift]\nwindow = 9\n", "[drift] window = 9: must be between 10 and 100000"),
    "too large": ("[server]\nthreads = 65\n", "[server] threads = 65: must be between 1 and 64"),
    "huge": ("[server]\nthreads = " + "9" * 5000, ": must be a whole number"),
    "percent": ("[drift]\nthreshold = 30%\n", "[drift] threshold = 30%: must be a number"),
    "interpolation": ("[drift]\nwindow = %(x)s\n", "window = %(x)s: must be a whole number"),
    "empty": ("[drift]\nwindow =\n", "[drift] window = : needs a value"),
    "only a comment": ("[data]\nmodels = # here\n", "[data] models = : needs a value"),
    "not a boolean": ("[experiment]\nshadow = maybe\n", "shadow = maybe: must be yes or no"),
    "another metric": (
        "[experiment]\nmetric = recall\n",
        "metric = recall: must be accuracy or balanced",
    ),
    "weight without a name": (
        "[experiment]\nweights = 20\n",
        "weights = 20: must be NAME: NUMBER, NAME: NUMBER",
    ),
    "weight that is no number": ("[experiment]\nweights = a: b\n", "a: b: must be a number"),
    "weight of nothing": ("[experiment]\nweights = a: 0\n", "a: 0: must be between 0.001 and"),
    "weight twice": ("[experiment]\nweights = a: 1, a: 2\n", "a: 1, a: 2: has a twice"),
    "weights and balanced": (
        "[experiment]\nweights = a: 2\nmetric = balanced\n",
        "[experiment] metric = balanced: weighs the classes by itself; leave out metric or weights",
    ),
    "no port": ("[server]\nlisten = 127.0.0.1\n", "listen = 127.0.0.1: must be ADDRESS:PORT"),
    "no address": ("[server]\nlisten = :5000\n", "listen = :5000: must be ADDRESS:PORT"),
    "large port": ("[server]\nlisten = 127.0.0.1:70000\n", "must be ADDRESS:PORT"),
    "no host": ("[server]\nlisten = a..b:5000\n", "listen = a..b:5000: must be ADDRESS:PORT"),
    "bad kind": ("[model.v1]\nkind = tree\n", "[model.v1] kind = tree: unknown kind; there are r"),
    "model option in two lines": (
        "[model.v1]\nmax_depth = 1\n  2\n",
        "[model.v1] max_depth = 1 2: is not 'option = value' in a line of its own",
    ),
    # training
    "data without a target": (
        "[training]\ndata = t.csv\n",
        "t.csv: needs target = COLUMN, the title of the column to predict",
    ),
    "target ignored": (
        "[training]\ndata = t.csv\ntarget = y\nignore = a, y\n",
        "[training] ignore = y: is the target",
    ),
    "group ignored": ("[training]\ngroup = g\nignore = g\n", "ignore = g: is the group"),
    "comma too many": ("[training]\nignore = a,, b\n", "must be names with a comma between two"),
    "separator": ("[training]\nseparator = :\n", "separator = :: must be auto, ,, ;, tab or |"),
    "task": ("[training]\ntask = guess\n", "must be auto, classification or regression"),
    "no megabytes": ("[training]\nkeep_mb = -1\n", "keep_mb = -1: must be between 0 and 10000"),
    "no version": ("[model.]\n", "[model.]: a version's name is 1 to 64 letters"),
    "version as a path": ("[model.../x]\n", "[model.../x]: a version's name is"),
    # split
    "less than 100": (
        "[split]\nv1 = 50\nv2 = 49\n",
        "v1 = 50, v2 = 49: the percentages add up to 99",
    ),
    "three times 33.3": (
        "[split]\nv1 = 33.3\nv2 = 33.3\nv3 = 33.3\n",
        "[split] v1 = 33.3, v2 = 33.3, v3 = 33.3: the percentages add up to 99.9, not 100",
    ),
    "more than 100": ("[split]\nv1 = 60\nv2 = 60\n", "the percentages add up to 120, not 100"),
    "one above 100": ("[split]\nv1 = 110\nv2 = -10\n", "[split] v1 = 110: must be between 0 and"),
    "negative": ("[split]\nv2 = -10\nv1 = 110\n", "[split] v2 = -10: must be between 0 and 100"),
    "no comment": ("[split]\nv1 = 100#\n", "[split] v1 = 100#: must be a percentage such as 50"),
    "share with %": ("[split]\nv1 = 100%\n", "[split] v1 = 100%: must be a percentage such as 50"),
    "share of a half": ("[split]\nv1 = 1/2\n", "[split] v1 = 1/2: must be a percentage"),
    "empty share": ("[split]\nv1 =\n", "[split] v1 = : must be a percentage"),
    "NaN share": ("[split]\nv1 = NaN\n", "[split] v1 = NaN: must be a percentage"),
    "signalling NaN share": ("[split]\nv1 = sNaN\n", "[split] v1 = sNaN: must be a percentage"),
    "infinite share": ("[split]\nv1 = inf\n", "[split] v1 = inf: must be a percentage"),
    "other digits": ("[split]\nv1 = ５０\nv2 = 50\n", "[split] v1 = ５０: must be a percentage"),
    "grouped digits": ("[split]\nv1 = 1_00\n", "[split] v1 = 1_00: must be a percentage"),
    "huge exponent": ("[split]\nv1 = 1e999999999\n", "[split] v1 = 1e999999999: must be"),
    "version with a slash": ("[split]\n../v1 = 100\n", "[split] ../v1 = 100: a version's name is"),
    "dotted version": ("[split]\n. = 100\n", "[split] . = 100: a version's name is"),
    "long version": ("[split]\n" + "v" * 65 + " = 100\n", ": a version's name is"),
    # together
    "control without traffic": (
        "[experiment]\ncontrol = v9\n",
        "[experiment] control = v9: is not in [split], which has v1, v2",
    ),
    "window larger than the history": (
        "[data]\nkeep_rows = 50\n",
        "[data] keep_rows = 50: is less than [drift] window = 100",
    ),
}


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_understood_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    """An error names file, section, option, value and reason; nothing is ignored."""
    path = tmp_path / "irisab.ini"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"[split]\nv1 = 100 # M\xfcnchen\n", "is not UTF-8 text: byte 20"),
        ("[split]\nv1 = 100\n".encode("utf-16"), "is not UTF-8 text: byte 0"),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes | None, reason: str, tmp_path: Path) -> None:
    """A missing file and one in another encoding give a sentence as well."""
    path = tmp_path / "irisab.ini"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {reason}")):
        config.load(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """So does a path that is no file."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


SECTIONS = ["server", "data", "split", "experiment", "drift", "model.v1", "DEFAULT"]
OPTIONS = ["listen", "threads", "history", "v1", "control", "shadow", "alpha", "window", "name"]
words = st.one_of(st.sampled_from(OPTIONS), st.text(max_size=8))
values = st.one_of(st.integers().map(str), st.floats().map(str), st.text(max_size=12))
lines = st.one_of(
    st.sampled_from(SECTIONS).map("[{}]".format),
    st.builds("{} = {}".format, words, values),
    st.text(max_size=20),
)


@given(st.lists(lines, max_size=8).map("\n".join))
def test_no_text_gives_a_traceback(text: str) -> None:
    """Whatever a file holds, it is accepted or refused with a sentence."""
    try:
        found = parse(text)
    except ConfigError:
        return
    assert sum(found.split.values()) == pytest.approx(100)


def test_an_indented_file_is_read(tmp_path: Path) -> None:
    """Options may be indented below their section, and history leads to the last good file."""
    text = "[data]\n    history = state/h.sqlite3\n[drift]\n    window = 50\n"
    assert parse(text).drift.window == 50
    assert config.history_path(text, base=tmp_path) == tmp_path / "state/h.sqlite3"


def test_the_keys_are_where_the_settings_are() -> None:
    """On a host in /etc/irisab, elsewhere beside the INI file, or where [auth] file says."""
    assert parse("", base=HOST).auth.file == Path("/etc/irisab/keys")
    assert parse("").auth.file == BASE / "keys"
    assert parse("[auth]\nfile = who\n").auth.file == BASE / "who"
    for require in ("no", "feedback", "all"):
        assert parse(f"[auth]\nrequire = {require}\n").auth.require == require


@pytest.mark.parametrize("text", ["", "[auth]\nfile = who\n", "[auth]\n file=/a/b # ours\nx"])
def test_a_refused_file_still_says_where_the_keys_are(text: str) -> None:
    """A key can be revoked whatever else is wrong with the INI file."""
    expected = {"": "keys", "[auth]\nfile = who\n": "who"}.get(text, "/a/b")
    assert config.keys_path(f"nonsense\n{text}", base=BASE) == BASE / expected
    assert config.keys_path("", base=HOST) == Path("/etc/irisab/keys")


# Where it is refused -> what anybody may know of it.
PLACES = {
    "[split]\nv1 = 51\nv2 = 50\n": "[split]",
    "[split]\nhunter2 = hunter2\n": "[split]",
    "[server]\nthreads = hunter2\n": "[server] threads",
    "[server]\nhunter2 = 1\n": "[server]",
    "[hunter2]\n": "the configuration, or a model of it,",
    "hunter2\n": "the configuration, or a model of it,",
    "[data]\nhunter2\n": "the configuration, or a model of it,",
    "[data]\nkeep_rows = hunter2: [drift] window = 5\n": "[data] keep_rows",
    "[model.hunter2]\nkind = 3\n": "[model]",
    "[auth]\nrequire = hunter2\n": "[auth] require",
}


@pytest.mark.parametrize("text", PLACES)
def test_outsiders_learn_where_and_not_what(text: str) -> None:
    """A password that was pasted into the wrong line is told to who mends it, and nobody else."""
    with pytest.raises(ConfigError) as error:
        parse(text)
    told = config.refusal(str(error.value))
    assert told.startswith(f"{PLACES[text]} was refused; ") and "hunter2" not in told


# -- the history of a refused file ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[data]\nhistory = h.sqlite3\n", BASE / "h.sqlite3"),
        ("[data]\nhistory=/x/my h.sqlite3   # here\n[split]\nv1 = 200", Path("/x/my h.sqlite3")),
        ("not an INI\n#history = no\n", config.DataOptions().history),
        ("history =\nkeep_rows = 5\n", config.DataOptions().history),
        ("history = # nothing\n", config.DataOptions().history),
    ],
)
def test_a_refused_file_still_says_where_its_history_is(text: str, expected: Path) -> None:
    """last-good.ini is found beside the history although the INI cannot be parsed."""
    assert config.history_path(text, base=BASE) == expected
