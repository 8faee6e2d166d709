"""The protocols: TensorFlow Serving's REST API and the Open Inference Protocol; the routes that lead to them."""
