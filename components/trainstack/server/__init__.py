"""The model server: a SavedModel behind TensorFlow Serving's REST paths and the Open Inference Protocol.

It runs inside a TensorFlow environment, where Trainstack is not installed: this folder imports only itself and the
packages of the curated serving environments, and is started by path (`python …/trainstack/serving --model-path …`).
`trainstack.core.services.service` starts it; `docs/serving.md` says what it answers, and how.

From the outside in: `server` keeps port and plan, `conversion` has `convert` make LiteRT models, `supervisor` forks
workers, `worker` loads what is laid ready. In a worker, `accepting` takes connections, `connection` speaks HTTP,
`front` decides, `rest` and `inference` speak the protocols, `hosting` holds the versions, `batching` runs `servable`.
"""
