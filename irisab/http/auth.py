"""Who may do what: a door asks for a key before it lets a request in. Start at `Door.admit()`."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Any

from irisab import keys
from irisab.config import AuthOptions
from irisab.errors import Forbidden, KeysError, Unauthorized, Unavailable
from irisab.http.key_file import KeyFile, LastUse
from irisab.keys import Key
from irisab.serving.metrics import Metrics

# What each path needs; the others are open to everybody who reaches the port.
SCOPES = {
    "/predict": "predict",
    "/feedback": "feedback",
    **dict.fromkeys(("/config", "/report", "/timeline", "/versions"), "read"),
}
# One for all who come without a valid key, so that nobody learns which keys there were.
_REFUSED = (
    "this needs a valid key: send it in the header Authorization: Bearer KEY, or X-API-Key: KEY"
)

# Said where somebody may act on votes; a key makes it untrue.
ANYBODY_VOTES = (
    "Labels need no key here, so whoever reaches the API has a vote: [auth] require = feedback"
)

# Said where users are spread oddly over the versions.
ANYBODY_ASKS = (
    "Predictions need no key here, so whoever reaches the API can have invented users until it is "
    "so: [auth] require = all"
)


def scopes(options: AuthOptions) -> Mapping[str, str]:
    """Return the scope that each path needs, for the paths that need one."""
    required = {"no": (), "feedback": ("/feedback",), "all": tuple(SCOPES)}
    return {path: SCOPES[path] for path in required[options.require]}


def refuse_unusable(options: AuthOptions) -> None:
    """Refuse to ask for keys that are not there; raises `KeysError`."""
    if options.require == "no":
        return
    try:
        keys.read(options.file)
    except KeysError as error:
        raise KeysError(f"[auth] require = {options.require}: {error}") from None


class Door:
    """Lets in who has a key with the scope that a path needs."""

    def __init__(self, options: AuthOptions, metrics: Metrics, used: LastUse) -> None:
        self.scopes = scopes(options)
        self._file = KeyFile(options.file)
        self._metrics = metrics
        self._used = used

    @property
    def works(self) -> bool:
        """Tell whether the keys can be read; where they cannot, nobody is let in."""
        return self._file.keys() is not None

    def admit(self, environ: Mapping[str, Any], scope: str) -> Key:
        """Return the key of a request; raises `Unauthorized`, `Forbidden`, `Unavailable`."""
        presented = _presented(environ)
        digest = None if presented is None else keys.fingerprint(presented)
        known = self._file.keys() if digest is None else self._file.keys_with(digest)
        if known is None:
            self._fail("unreadable")
            raise Unavailable("the keys cannot be read now, so nobody is let in; see irisab's log")
        key = self._identify(digest, known)
        if scope not in key.scopes:
            self._fail("scope")
            raise Forbidden(scope)
        self._metrics.key_requests.labels(key.name).inc()
        return key

    def _identify(self, digest: str | None, known: Mapping[str, Key]) -> Key:
        if digest is None:
            self._fail("missing")
            raise Unauthorized(_REFUSED)
        # How long the look-up takes tells something of a hash, and nothing of a key.
        key = known.get(digest)
        if key is None or not hmac.compare_digest(key.sha256, digest):
            self._fail("unknown")
            raise Unauthorized(_REFUSED)
        if not key.is_valid(now := time.time()):
            self._fail("expired")
            raise Unauthorized(_REFUSED)
        self._used.note(key.name, now)
        return key

    def _fail(self, reason: str) -> None:
        self._metrics.auth_failures.labels(reason).inc()


def _presented(environ: Mapping[str, Any]) -> str | None:
    """Return the key that a request brings; the word Bearer in any case (RFC 9110, 11.1)."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return str(token.strip())
    key: str | None = environ.get("HTTP_X_API_KEY")
    return key.strip() if key else None
