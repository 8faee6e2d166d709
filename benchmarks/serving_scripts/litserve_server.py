"""LitServe around a SavedModel, batching on."""

import os
import sys

import litserve as ls
import numpy as np


class Mnist(ls.LitAPI):
    def setup(self, device):
        import tensorflow as tf

        self.tf = tf
        self.loaded = tf.saved_model.load(os.environ["MODEL"])
        self.run = self.loaded.signatures["serving_default"]
        (self.given,) = self.run.structured_input_signature[1]

    def decode_request(self, request):
        return np.array(request["instances"], np.float32)

    def predict(self, x):
        outputs = self.run(**{self.given: self.tf.constant(x)})
        return next(iter(outputs.values())).numpy()

    def encode_response(self, output):
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = ls.LitServer(Mnist(), accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error")
