"""Every error a person can cause, and what it means for an exit code or an HTTP status.

IrisabError                      exit 2
├── ConfigError                  the INI: file, section, option, value, reason
├── BundleError                  a model version on disk is missing, damaged or unfit
│   ├── MissingPackage           it needs a Python package that is not installed
│   └── Unvouched                it is a pickle, and nobody who may has vouched for it
├── KeysError                    the keys file cannot be used as it is
├── DataError                    training data that cannot be used
├── HistoryError                 the history file cannot be read or written
├── ReloadRefused                the running service kept its old configuration
├── NotRunning                   exit 1: there is no service to talk to
└── RequestError                 400, the HTTP API's
    ├── Unauthorized             401
    ├── Forbidden                403
    ├── NotFound                 404
    ├── MethodNotAllowed         405
    ├── Conflict                 409
    ├── TooLarge                 413
    ├── UnsupportedMediaType     415
    └── Unavailable              503
"""

from __future__ import annotations

from http import HTTPStatus


class IrisabError(Exception):
    """Base of all errors that carry a sentence for the person who caused them."""

    exit_code = 2


class ConfigError(IrisabError):
    """The INI file cannot be accepted."""


class BundleError(IrisabError):
    """A model bundle cannot be served."""


class MissingPackage(BundleError):
    """A model needs a Python package that is not installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(
            f"{what} needs the Python package {package}, which is not installed: on a host, write "
            f"{package}==VERSION into /etc/irisab/requirements.txt, then sudo "
            f"/opt/irisab/current/bootstrap.sh; elsewhere: .venv/bin/pip install {package}"
        )
        self.package = package


class Unvouched(BundleError):
    """A model is a pickle, and nobody whose word counts has vouched for it."""


class KeysError(IrisabError):
    """The keys file cannot be used as it is."""


class DataError(IrisabError):
    """Training data cannot be used as it is."""


class HistoryError(IrisabError):
    """The history file cannot be read or written."""


class ReloadRefused(IrisabError):
    """The running service refused a new configuration; nothing changed."""


class NotRunning(IrisabError):
    """No irisab service runs with this configuration."""

    exit_code = 1


class RequestError(IrisabError):
    """A request that cannot be answered as asked.

    `reason` is the label of `prediction_errors_total`: a fixed set, never text of the client's.
    """

    status = HTTPStatus.BAD_REQUEST
    reason = "bad_request"


class Unauthorized(RequestError):
    """`challenge` is the value of the WWW-Authenticate header (RFC 6750, 3)."""

    status = HTTPStatus.UNAUTHORIZED
    reason = "unauthorized"
    challenge = 'Bearer realm="irisab"'


class Forbidden(RequestError):
    """The key is valid, and may not do this: it lacks a scope."""

    status = HTTPStatus.FORBIDDEN
    reason = "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this key may not do that: it lacks the scope {scope}")
        self.challenge = f'Bearer realm="irisab", error="insufficient_scope", scope="{scope}"'


class NotFound(RequestError):
    status = HTTPStatus.NOT_FOUND
    reason = "not_found"


class MethodNotAllowed(RequestError):
    """`allow` is the value of the Allow header (RFC 9110, 15.5.6)."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    reason = "method_not_allowed"

    def __init__(self, detail: str, *, allow: str) -> None:
        super().__init__(detail)
        self.allow = allow


class Conflict(RequestError):
    status = HTTPStatus.CONFLICT
    reason = "conflict"


class TooLarge(RequestError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    reason = "too_large"


class UnsupportedMediaType(RequestError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    reason = "unsupported_media_type"


class Unavailable(RequestError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "unavailable"
