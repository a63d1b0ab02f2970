"""A pickle is opened on the word of root, or of who opens it: never of the account that serves."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from sklearn.naive_bayes import GaussianNB

from irisab.errors import BundleError, Unvouched
from irisab.lifecycle import training
from irisab.lifecycle.dataset import load_iris
from irisab.model import bundle, vouched
from irisab.model.bundle import MANIFEST
from irisab.model.vouched import Origin, Vouchers

SERVICE, PERSON, STRANGER = 995, 1000, 1001
FOLDER = Path("models/v3/0123456789ab")
SHA256 = hashlib.sha256(b"a manifest").hexdigest()


def origin(uid: int, mode: int = 0o644) -> Origin:
    """Return where a manifest comes from that this account has written."""
    return Origin(SHA256, os.stat_result((0o100000 | mode, 1, 1, 1, uid, uid, 1, 0, 0, 0)))


def is_opened(of: Origin, vouchers: Vouchers) -> bool:
    try:
        vouchers.refuse_unvouched(of, FOLDER, "v3")
    except Unvouched:
        return False
    return True


@pytest.mark.parametrize(
    ("owner", "mode", "service", "person"),
    [
        (0, 0o644, True, True),
        (0, 0o664, False, False),
        (0, 0o646, False, False),
        (SERVICE, 0o644, False, False),
        (PERSON, 0o664, False, True),
        (STRANGER, 0o644, False, False),
    ],
)
def test_whose_pickles_are_opened(
    owner: int, mode: int, service: bool, person: bool, tmp_path: Path
) -> None:
    """Root's, if nobody else can write into them, and a person's own; not the service's own."""
    nothing = tmp_path / "vouched"
    assert is_opened(origin(owner, mode), Vouchers(None, nothing)) is service
    assert is_opened(origin(owner, mode), Vouchers(PERSON, nothing)) is person


def test_what_is_listed_is_opened(tmp_path: Path) -> None:
    """Whoever wrote the bundle, and nothing but this one; words that are no hash open nothing."""
    listed = tmp_path / "vouched"
    here = Vouchers(os.geteuid(), listed)
    assert not is_opened(origin(SERVICE), here)
    vouched.add(listed, [("v2", "1" * 64)])
    assert not is_opened(origin(SERVICE), here)
    vouched.add(listed, [("v3", SHA256), ("v2", "1" * 64)])
    assert is_opened(origin(SERVICE), here)
    assert [line.split() for line in listed.read_text().splitlines()[1:]] == [
        ["v2", "1" * 64],
        ["v3", SHA256],
    ]
    assert listed.stat().st_mode & 0o777 == 0o640
    listed.write_text(f"# {SHA256}\n\n")
    assert not is_opened(origin(SERVICE), here)


def test_a_list_that_others_can_write_is_nobody_s_word(tmp_path: Path) -> None:
    """Nor one that belongs to the account that serves: it may have put it there."""
    listed = tmp_path / "vouched"
    vouched.add(listed, [("v3", SHA256)])
    listed.chmod(0o666)
    assert not is_opened(origin(SERVICE), Vouchers(None, listed))


def test_a_list_belongs_to_a_host(tmp_path: Path) -> None:
    """Elsewhere there is none to write, and the sentence says that none is needed."""
    with pytest.raises(BundleError, match="is not there, as it is on a host"):
        vouched.add(tmp_path / "missing" / "vouched", [])


def test_a_refusal_says_what_to_type(tmp_path: Path) -> None:
    """To root on a host the command with version and hash; to a person whose it should be."""
    with pytest.raises(Unvouched, match="'irisab vouch v3 0123456789ab'$"):
        Vouchers(None, tmp_path / "vouched").refuse_unvouched(origin(SERVICE), FOLDER, "v3")
    with pytest.raises(Unvouched, match=f"sudo chown -R {PERSON} {FOLDER}$"):
        Vouchers(PERSON, tmp_path / "vouched").refuse_unvouched(origin(STRANGER), FOLDER, "v3")


def test_only_pickles_need_a_word(tmp_path: Path, iris_models: Path) -> None:
    """Numbers are served whoever wrote them, and nothing of a pickle is run before."""
    training.fit(tmp_path, "v3", load_iris(), estimator=GaussianNB())
    nobody = Vouchers(None, tmp_path / "vouched")
    folder = (tmp_path / "v3/current").resolve()
    (folder / MANIFEST).chmod(0o666)
    (folder / "model.joblib").unlink()  # or it would be read first
    with pytest.raises(Unvouched):
        bundle.load_folder(folder, "v3", vouchers=nobody)
    plain = (iris_models / "v1/current").resolve()
    assert bundle.load_folder(plain, "v1", vouchers=nobody).version == "v1"


def test_one_s_own_word_counts_for_who_does_not_serve() -> None:
    """As in a checkout, whatever the account is called or whether it has a name."""
    assert vouched.here().own == os.geteuid()
