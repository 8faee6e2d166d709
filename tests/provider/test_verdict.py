"""Preview's verdict is the fingerprint's: no run trains unannounced, and none is announced in vain."""

from hypothesis import given, settings
from hypothesis import strategies as st

from trainstack.core.runs import arguments
from trainstack.core.runs.fields import COUNTED, RunSpec
from trainstack.provider.training_run import TrainingRunProvider

DIGESTS = st.sampled_from(["a" * 64, "b" * 64])
NAMES = st.sampled_from(["train.py", "net.py", "data/x.csv"])
# As Pulumi hands them over: whole numbers are floats, and texts look like numbers, marks and each other.
SCALARS = st.sampled_from([1.0, 1.5, "1", "1.0", True, False, "True", "true", "", "?", "0.10", 0.1, -0.0, 0.0])
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2))
VARIABLES = st.dictionaries(st.sampled_from(["SEED", "MODE"]), st.sampled_from(["", "1", "?", "x y"]), max_size=2)
REFERENCES = st.dictionaries(
    st.sampled_from(["mnist", "words"]),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["mnist", "words"]),
            "version": st.sampled_from([1.0, 2.0]),
            "digest": DIGESTS,
            "mode": st.sampled_from(["mount", "download"]),
        }
    ),
    max_size=2,
)
REQUIRED = {
    "script": NAMES,
    "files": st.dictionaries(NAMES, DIGESTS, min_size=1, max_size=3),
    "environment": st.fixed_dictionaries(
        {
            "digest": DIGESTS,
            "python": st.sampled_from(["3.11", "3.12"]),
            "packages": st.just({"six": "1"}),
            "variables": VARIABLES,
        }
    ),
}
OPTIONAL = {
    "module": st.sampled_from(["", "net"]),
    "executables": st.sets(NAMES, max_size=2).map(sorted),
    "arguments": st.one_of(
        st.dictionaries(st.sampled_from(["--lr", "--k"]), VALUES, max_size=2), st.lists(SCALARS, max_size=3)
    ),
    "datasets": REFERENCES,
    "environment_variables": VARIABLES,
    "secret_variables": VARIABLES,
    "distribution": st.fixed_dictionaries(
        {"kind": st.sampled_from(["single", "horovod"]), "node_count": st.sampled_from([1.0, 2.0])}
    ),
    "trigger": st.sampled_from(["", "again", "?"]),
}
PROGRAMS = st.fixed_dictionaries(REQUIRED, optional=OPTIONAL)


def inputs(program):
    """A program as `check` completes it: only programs with the files that they name pass it."""
    executables = [name for name in program.get("executables", []) if name in program["files"]]
    completed = {**program, "arguments": arguments.canonical(program.get("arguments")), "executables": executables}
    return {**completed, "fingerprint": RunSpec.from_inputs(completed).fingerprint}


def test_every_field_that_counts_is_generated():
    assert REQUIRED.keys() | OPTIONAL.keys() == COUNTED.keys()


@settings(max_examples=400, deadline=None)
@given(PROGRAMS, st.data())
def test_preview_says_retrain_when_the_fingerprint_changes(old, data):
    # Mostly one change: two programs drawn apart would never be the same.
    other = data.draw(PROGRAMS)
    changed = data.draw(st.sets(st.sampled_from(sorted(COUNTED)), max_size=2))
    new = {name: value for name, value in old.items() if name not in changed}
    new |= {name: other[name] for name in changed if name in other}
    for name in ("script", "files", "environment"):
        new.setdefault(name, old[name])
    old, new = inputs(old), inputs(new)
    retrains = bool(TrainingRunProvider().diff("run", old, new).replaces)
    assert retrains == (old["fingerprint"] != new["fingerprint"])
