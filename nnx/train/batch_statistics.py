"""Running statistics for batch norms that have never seen a batch."""

from collections.abc import Iterator

from nnx.layers import BatchNorm, Dropout, Module, training
from nnx.train.problem import Problem


def measure_statistics(problem: Problem) -> None:
    """Give every batch norm that was never trained the statistics of the training set; the others keep theirs.

    Mean and variance are the averages of those of the full batches, at the weights that the model has, without dropout:
    after batch k the running statistics move with momentum k/(k + 1).

    Source: Izmailov et al. (2018), arXiv:1803.05407, section 3; PyTorch's ``swa_utils.update_bn``.
    """
    model = problem.model
    fresh = {path for path, layer in _batch_norms(model) if _untouched(problem, layer)}
    if not fresh:
        return
    twin = model.copy()
    for _, layer in twin.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    for k, (x, _) in enumerate(problem.in_order()):
        if k and int(x.shape[0]) < problem.batch_size:
            break
        for path, norm in _batch_norms(twin):
            norm.momentum = k / (k + 1) if path in fresh else 1.0
        with training(seed=problem.seed):
            twin(x)
    measured = twin.buffers()
    model.load({path: measured[path] if _owner(path) in fresh else old for path, old in model.buffers().items()})


def _owner(path: str) -> str:
    return path.rpartition(".")[0]


def _batch_norms(model: Module) -> Iterator[tuple[str, BatchNorm]]:
    for path, layer in model.modules():
        if isinstance(layer, BatchNorm):
            yield path, layer


def _untouched(problem: Problem, layer: BatchNorm) -> bool:
    """Whether its statistics are still those of the start, mean 0 and variance 1."""
    mean, variance = (problem.device.to_numpy(array) for array in (layer.running_mean, layer.running_variance))
    return bool((mean == 0).all() and (variance == 1).all())
