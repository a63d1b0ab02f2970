"""The service that a tutorial would write: Flask and model.predict, halves of the traffic each."""

from __future__ import annotations

import os
import random
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
