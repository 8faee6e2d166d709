"""The model server: a SavedModel behind TensorFlow Serving's REST paths and the Open Inference Protocol.

It runs inside a TensorFlow environment, where Trainstack is not installed: this folder imports only itself and the
packages of the curated serving environments, and is started by path (`python …/trainstack/server --model-path …`).
`trainstack.core.services` starts it; `docs/serving.md` says what it answers, and how.

From the outside in: `process` keeps the port and forks workers; `http` speaks HTTP and finds the route of a request;
`api` has the table of endpoints, their handlers and the router that runs them; `monitoring` counts and keeps requests;
`model` holds the versions; `runtime` computes, on LiteRT or TensorFlow; `codec` reads and writes tensors.
"""
