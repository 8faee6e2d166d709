"""MLServer's custom runtime around a SavedModel."""

import os

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Mnist(MLModel):
    async def load(self) -> bool:
        import tensorflow as tf

        self.tf = tf
        self.loaded = tf.saved_model.load(os.environ["MODEL"])
        self.run = self.loaded.signatures["serving_default"]
        (self.given,) = self.run.structured_input_signature[1]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0]).astype("float32")
        found = next(iter(self.run(**{self.given: self.tf.constant(x)}).values())).numpy()
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", found)])
