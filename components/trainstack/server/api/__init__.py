"""The protocols: TensorFlow Serving's REST API and the Open Inference Protocol, with tensors in JSON and bytes."""
