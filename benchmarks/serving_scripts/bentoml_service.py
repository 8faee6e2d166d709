"""BentoML around a SavedModel."""

import os

import bentoml
import numpy as np


@bentoml.service(workers=2)
class Mnist:
    def __init__(self) -> None:
        import tensorflow as tf

        self.tf = tf
        self.loaded = tf.saved_model.load(os.environ["MODEL"])
        self.run = self.loaded.signatures["serving_default"]
        (self.given,) = self.run.structured_input_signature[1]

    @bentoml.api
    def predict(self, instances: list[list[float]]) -> dict[str, list[list[float]]]:
        outputs = self.run(**{self.given: self.tf.constant(np.array(instances, np.float32))})
        return {"predictions": next(iter(outputs.values())).numpy().tolist()}
