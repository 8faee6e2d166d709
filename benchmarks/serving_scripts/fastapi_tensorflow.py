"""FastAPI around a SavedModel, as a user would write it."""

import os

import numpy as np
import tensorflow as tf
from fastapi import FastAPI
from pydantic import BaseModel

predict = tf.saved_model.load(os.environ["MODEL"]).signatures["serving_default"]
(given,) = predict.structured_input_signature[1]
app = FastAPI()


class Body(BaseModel):
    instances: list[list[float]]


@app.post("/predict")
def answer(body: Body):
    outputs = predict(**{given: tf.constant(np.array(body.instances, np.float32))})
    return {"predictions": next(iter(outputs.values())).numpy().tolist()}
