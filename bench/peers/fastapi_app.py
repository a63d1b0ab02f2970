"""The same service with FastAPI, as its tutorial would: uvicorn --workers 2."""

from __future__ import annotations

import os
import random
from pathlib import Path

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
models = {
    version: joblib.load(Path(os.environ["MODELS"], version, "current", "model.joblib"))
    for version in ("v1", "v2")
}
names = ("setosa", "versicolor", "virginica")


class Flower(BaseModel):
    features: list[float]


@app.post("/predict")
def predict(flower: Flower):
    version = random.choice(("v1", "v2"))
    prediction = int(models[version].predict([flower.features])[0])
    return {
        "prediction": prediction,
        "class_name": names[prediction],
        "model_version": version,
    }
