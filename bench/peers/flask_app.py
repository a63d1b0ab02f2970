"""The service that a tutorial would write: Flask and model.predict, halves of the traffic each."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import joblib
from flask import Flask, request

app = Flask(__name__)
models = {
    version: joblib.load(Path(os.environ["MODELS"], version, "current", "model.joblib"))
    for version in ("v1", "v2")
}
names = ("setosa", "versicolor", "virginica")


@app.post("/predict")
def predict():
    version = random.choice(("v1", "v2"))
    prediction = int(models[version].predict([request.get_json()["features"]])[0])
    return {
        "prediction": prediction,
        "class_name": names[prediction],
        "model_version": version,
    }


def main(server: str, port: str) -> None:
    if server == "waitress":
        from waitress import serve

        serve(app, listen=f"127.0.0.1:{port}")
    else:
        app.run(port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
