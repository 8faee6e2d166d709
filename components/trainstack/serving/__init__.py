"""The model server: a SavedModel behind TensorFlow Serving's REST paths.

It runs inside a TensorFlow environment, where Trainstack is not installed: this folder imports only itself,
numpy, TensorFlow, Starlette, Granian and orjson, and is started by path
(`python …/trainstack/serving --model-path …`).
`trainstack.lifecycle.service` starts it; `docs/serving.md` says what it answers.
"""
