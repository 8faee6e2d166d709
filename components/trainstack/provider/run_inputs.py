"""What a run's inputs must be, and what is added to them: all that preview needs to know of a run.

It loads neither what submits a run nor what follows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pulumi.runtime.rpc import UNKNOWN

from trainstack.abbreviation import abbreviated
from trainstack.core.compute import target_checks
from trainstack.core.compute.compute import ComputeSpec, has_gpus
from trainstack.core.environments import environment
from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.properties import as_mapping, integral
from trainstack.core.runs import arguments, cost, distribution, script_variables, snapshot
from trainstack.core.runs.fields import RunSettings
from trainstack.errors import InvalidInputError, UnreachableError
from trainstack.provider import images
from trainstack.provider.base import Properties, absolute, known, log_of, validated
from trainstack.provider.compute_inputs import capabilities_of, compute_spec
from trainstack.provider.environment import environment_of


def completed(news: Properties) -> Properties:
    """Validate a run's inputs and add what it is made of: digests of files, pinned packages, canonical arguments.

    Args:
        news: The inputs as the program gives them; unknown values are `UNKNOWN`.

    Raises:
        InvalidInputError: Something is wrong with them, in one line.
    """
    inputs = dict(news)
    if known(inputs["source_directory"]):
        _accept_code(inputs)
    if inputs.get("arguments") != UNKNOWN:
        # A value that is not known yet is text here, and stays as it is.
        inputs["arguments"] = arguments.canonical(inputs.get("arguments"))
        _check_datasets(inputs)
    _check_variables(inputs)
    images.check(inputs)
    compute = compute_spec(inputs["compute"])
    packed = False
    if known(inputs["environment_spec"]):
        spec = environment_of(inputs["environment_spec"])
        packed = spec.only_image
        _check_reserved(inputs, spec.variables)
        inputs["environment"] = _environment(spec, inputs)
        if compute is not None:
            _check_gpus(inputs["environment"]["packages"], compute)
    if known(inputs["distribution"]):
        # What packages an image has is not known before it runs.
        packages = None if packed else inputs.get("environment")
        inputs["distribution"] = distribution.checked(integral(inputs["distribution"]), packages, compute)
        if compute is not None:
            target_checks.check_run(compute, inputs["distribution"]["node_count"])
            _check_network(inputs, compute)
    for name, least in (("timeout", 0.001), ("grace", 0)):
        value = inputs.get(name)
        if value is not None and known(value) and not (isinstance(value, int | float) and value >= least):
            raise InvalidInputError(f"{name} must be a number of seconds, at least {least:g}, not {value!r}")
    validated(RunSettings, inputs, "run")
    for field in ("max_cost", "max_total_cost"):
        if compute is not None and inputs.get(field) is not None and known(inputs[field]):
            cost.check_priced(compute, "max_cost")
    return inputs


def _check_network(inputs: Properties, compute: ComputeSpec) -> None:
    """See to it that nobody else reaches servers that take orders from anybody."""
    spread, _ = distribution.parse(inputs["distribution"])
    allowed = inputs.get("allow_network")
    if not spread.trusts_network or allowed == UNKNOWN:
        return
    if not allowed:
        compute.plugin.check_private_network()
    elif compute.plugin.capabilities.same_machine:
        log_of(inputs).warn(
            "allow_network=True: while this run trains, TensorFlow's servers take orders from whoever reaches this "
            "machine's ports, its other users among them"
        )


def _check_gpus(packages: object, compute: ComputeSpec) -> None:
    """Refuse TensorFlow without CUDA on machines that are paid for their GPUs."""
    if "tensorflow-cpu" in (as_mapping(packages) or {}) and has_gpus(compute):
        raise InvalidInputError(
            f"compute {compute.name!r} has GPUs, and tensorflow-cpu trains on the processor alone: use the environment "
            "trainstack-tensorflow-2.21-gpu or the package tensorflow[and-cuda], or a size without GPUs",
            field="environment",
        )


def _accept_code(inputs: Properties) -> None:
    source = absolute(inputs["source_directory"])
    limit = inputs.get("source_limit_bytes")
    code = snapshot.take(source, limit_bytes=int(limit) if limit else snapshot.DEFAULT_LIMIT_BYTES)
    _check_program(inputs, code.files)
    for name in code.unread:
        log_of(inputs).warn(f"{name} in {inputs['source_directory']} is not read: rename it to .trainstackignore")
    for name in code.secrets:
        log_of(inputs).warn(f"{name} is left out, as a secret: `!{name}` in .trainstackignore makes it code")
    inputs["files"] = code.files
    if code.executables:
        inputs["executables"] = list(code.executables)
    inputs["snapshot"] = str(code)


def _check_program(inputs: Properties, files: Collection[str]) -> None:
    """Refuse a script or module that the source folder does not have."""
    script, module = inputs.get("script", ""), inputs.get("module", "")
    if not (known(script) and known(module)):
        return
    if bool(script) == bool(module):
        raise InvalidInputError("a run needs a script or a module, and not both", field="script")
    path = module.replace(".", "/")
    if script in files or f"{path}.py" in files or f"{path}/__main__.py" in files:
        return
    scripts = [name for name in files if name.endswith(".py")]
    program = f"script {script!r}" if script else f"module {module!r}"
    raise InvalidInputError(
        f"{program} is not in {inputs['source_directory']!r}: it holds {abbreviated(scripts) or 'no Python file'}"
    )


def _check_datasets(inputs: Properties) -> None:
    text = repr(inputs["arguments"])
    for name in arguments.DATASET.findall(text):
        if name not in inputs["datasets"]:
            raise InvalidInputError(f"argument refers to dataset {name!r}, which the run is not given")


def _check_variables(inputs: Properties) -> None:
    for group in ("environment_variables", "secret_variables"):
        if inputs.get(group) == UNKNOWN:
            continue
        variables: dict[str, Any] = inputs.get(group) or {}
        for name, value in variables.items():
            if not name or "=" in name or "\0" in name:
                raise InvalidInputError(f"environment variable name {name!r} cannot be: it holds '=' or is empty")
            if group == "secret_variables" and not isinstance(value, str):
                raise InvalidInputError(f"secret variable {name} must be text")
            if group == "secret_variables" and "\0" in value:
                raise InvalidInputError(f"secret variable {name} holds a NUL character, which no variable can hold")
            if group == "secret_variables" and name in (as_mapping(inputs.get("environment_variables")) or {}):
                raise InvalidInputError(
                    f"variable {name} is declared twice, once as a secret: leave out one of the two"
                )
        if group == "environment_variables":
            inputs[group] = {name: arguments.scalar(value, name) for name, value in sorted(variables.items())}


def _check_reserved(inputs: Properties, of_environment: Mapping[str, str]) -> None:
    names = set(of_environment)
    for group in ("environment_variables", "secret_variables"):
        if inputs.get(group) != UNKNOWN:
            names |= set(inputs.get(group) or {})
    declared = inputs["distribution"]
    script_variables.check(names, distribution.parse(integral(declared))[0] if known(declared) else None)


def _environment(spec: environment.EnvironmentSpec, inputs: Properties) -> Properties:
    place = images.compute_of(inputs)
    if not known(place):
        return {"digest": UNKNOWN, "python": UNKNOWN, "packages": UNKNOWN, "variables": spec.variables}
    try:
        lock = lock_environment(
            spec,
            retries=0,
            in_image=capabilities_of(place).uses_images,
            docker_host=place.get("docker_host"),
            registry=images.registry_of(inputs),
        )
    except UnreachableError:
        python = "" if spec.only_image else spec.python
        return {"digest": UNKNOWN, "python": python, "packages": UNKNOWN, "variables": spec.variables}
    return {
        "digest": lock.digest,
        "python": lock.python,
        "packages": lock.packages,
        "variables": dict(spec.variables),
        **({"files": lock.files} if lock.files else {}),
        **({"image": lock.image} if lock.image else {}),
    }
