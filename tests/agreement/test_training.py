"""Training, pairwise: one batch, one step of every optimizer, a hundred steps from the same state, and runs left alone."""

import math

import numpy as np
import pytest
from agreement import runs
from agreement.runs import STEPS, apart, apart_as_a_whole, free_run, resynchronised, to_backend, to_host
from cases.optimizers import OPTIMIZERS
from optim.problem import gradient as problem_gradient
from optim.problem import parameters

from nnx import tree

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
STEP_BOUND = {"float64": 1e-9, "float32": 1e-4}
DRIFT = {"float64": 1e-6, "float32": 0.05}
"""Free runs: in float64 rounding has not grown far in a hundred steps; in float32 the drift is recorded, hardly bounded."""


def eps(dtype):
    return float(np.finfo(dtype).eps)


@DTYPES
def test_one_batch(dtype, backend, others, record_disagreement):
    """Loss, gradients and new running statistics of the whole network: c √K eps, K the 64 terms of its longest sums."""

    def outcome(backend):
        model = runs.model_on(backend, dtype)
        loss, grads = runs.gradient(model, *runs.batch(backend, dtype, 0), 0)
        return {"loss": to_host(loss), **to_host(grads), **to_host(model.buffers())}

    ours, tolerance = outcome(backend), 4 * math.sqrt(64) * eps(dtype)
    for other in others:
        theirs = outcome(other)
        for path in theirs:
            gap = apart({path: ours[path]}, {path: theirs[path]})
            kind = "statistics" if "running" in path else "loss" if path == "loss" else "gradient"
            record_disagreement(f"agree: network {kind}", backend, dtype, gap, tolerance)
            assert gap <= tolerance, f"{path} against {other.spec}"


@pytest.mark.parametrize("name", OPTIMIZERS)
@DTYPES
def test_one_step_of_every_optimizer(name, dtype, backend, others, record_disagreement):
    """From the same parameters, gradients and moments: a few eps of the largest term, for compilers contract a·b + c."""

    def prepared():
        optimizer = OPTIMIZERS[name].make(OPTIMIZERS[name].rate)
        params = {path: p.astype(dtype) for path, p in parameters().items()}
        state = optimizer.init(params)
        for _ in range(3):
            params, state = optimizer.update(
                {k: g.astype(dtype) for k, g in problem_gradient(params).items()}, state, params
            )
        return (
            optimizer,
            to_host(params),
            to_host(state),
            {k: g.astype(dtype) for k, g in problem_gradient(params).items()},
        )

    optimizer, params, state, grads = prepared()

    def step(backend):
        return to_host(optimizer.update(*(to_backend(nest, backend) for nest in (grads, state, params))))

    ours, ours_state = step(backend)
    for other in others:
        theirs, theirs_state = step(other)
        for what, a, b in (("parameters", ours, theirs), ("state", arrays_of(ours_state), arrays_of(theirs_state))):
            gap = apart(a, b)
            record_disagreement(f"agree: one step of {name}", backend, dtype, gap, 8 * eps(dtype))
            assert gap <= 8 * eps(dtype), f"{what} against {other.spec}"


def arrays_of(state):
    return {path: leaf for path, leaf in tree.paths(state) if hasattr(leaf, "dtype")}


@DTYPES
def test_a_hundred_steps_each_from_the_same_state(dtype, backend, others, record_disagreement):
    ours = resynchronised(backend.spec, dtype)
    assert len(ours) == STEPS
    for other in others:
        for step, (a, b) in enumerate(zip(ours, resynchronised(other.spec, dtype), strict=True)):
            gap = apart_as_a_whole(a[0], b[0])
            record_disagreement("agree: a step of training", backend, dtype, gap, STEP_BOUND[dtype])
            assert gap <= STEP_BOUND[dtype], f"step {step} against {other.spec}"
            assert abs(a[2] - b[2]) <= STEP_BOUND[dtype] * abs(b[2]), f"the loss of step {step} against {other.spec}"


@DTYPES
def test_free_runs_drift_and_learn_alike(dtype, backend, others, record_disagreement):
    ours = free_run(backend.spec, dtype)
    for other in others:
        theirs = free_run(other.spec, dtype)
        assert apart(ours[0][0], theirs[0][0]) == 0.0
        drift = apart_as_a_whole(ours[-1][0], theirs[-1][0])
        record_disagreement("agree: drift of free runs", backend, dtype, drift, DRIFT[dtype])
        assert drift <= DRIFT[dtype]
        assert ours[-1][2] < 0.5 * ours[1][2]
        assert abs(ours[-1][2] - theirs[-1][2]) < 0.01


def test_a_run_twice_is_the_same_bits(backend):
    first = free_run(backend.spec, "float32")[-1]
    again = free_run.__wrapped__(backend.spec, "float32")[-1]
    for a, b in ((first[0], again[0]), (first[1]["m"], again[1]["m"])):
        assert all(np.array_equal(a[path], b[path]) for path in a)
