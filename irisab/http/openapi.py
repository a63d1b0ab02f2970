"""The description of the API (OpenAPI 3.1) for the model that serves. See `described()`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.resources import files
from typing import Any

from irisab.http import auth
from irisab.model.schema import FLOAT32_MAX, Feature
from irisab.serving.snapshot import Snapshot

Json = dict[str, Any]
BASE: Json = json.loads(files("irisab.http").joinpath("openapi.json").read_bytes())


def described(snapshot: Snapshot) -> Json:
    """Return the description, narrowed to what only the model knows: features and versions."""
    document = deepcopy(BASE)
    document["components"]["schemas"]["PredictRequest"]["properties"] |= {
        "features": _features(snapshot.features, snapshot.config.server.max_rows),
        "model_version": {
            "enum": [*snapshot.bundles, None],
            "description": "Ask this version; kept out of experiment and drift.",
        },
    }
    _lock(document, auth.scopes(snapshot.config.auth))
    return document


def _lock(document: Json, scopes: Mapping[str, str]) -> None:
    """Say which paths need a key, with which scope, and what is answered without it."""
    if not scopes:
        return
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, scope in scopes.items():
        for operation in document["paths"][path].values():
            operation["security"] = [{"bearer": [scope]}, {"header": [scope]}]
            operation["responses"] |= {
                "401": _problem("No key, or none that is valid.", challenge=True),
                "403": _problem("The key lacks a scope.", challenge=True),
                "503": _problem("Keys or history cannot be read now.", challenge=False),
            }


def _problem(description: str, *, challenge: bool) -> Json:
    response: Json = {
        "description": description,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    if challenge:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response


def _features(features: Sequence[Feature], max_rows: int) -> Json:
    values = [_value(feature) for feature in features]
    listed: Json = {"type": "array", "minItems": len(values), "maxItems": len(values)}
    # One schema for all says the same as many equal ones, and more tools understand it.
    if all(value == values[0] for value in values):
        listed["items"] = values[0]
    else:
        listed |= {"prefixItems": values, "items": False}
    names = [feature.name for feature in features]
    named: Json = {
        "type": "object",
        "properties": dict(zip(names, values, strict=True)),
        "required": names,
        "additionalProperties": False,
    }
    batches = [
        {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
        for row in (listed, named)
    ]
    return {
        "description": f"One row, as a list in the order {', '.join(names)} or as an object by "
        "name; or a list of rows, all in one of these forms.",
        "anyOf": [listed, named, *batches],
    }


def _value(feature: Feature) -> Json:
    kinds: dict[str, Json] = {
        "number": {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX},
        "boolean": {"type": "boolean"},
        "category": {"type": "string", "maxLength": 10_000},
        "text": {"type": "string", "maxLength": 10_000},
    }
    value = kinds[feature.type]
    if feature.missing:
        value["type"] = [value["type"], "null"]
    if feature.categories:
        value["examples"] = list(feature.categories[:5])
    return value
