"""PyTorch as its tutorials have it: ``nn.Sequential``, ``F.cross_entropy``, ``zero_grad``, ``backward``, ``step``."""

from typing import Any

import torch
from torch import nn

from benchmarks.networks import Convolutional, Network
from benchmarks.timer import threads

torch.set_num_threads(threads())


def versions() -> dict[str, Any]:
    """What it runs on."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "matmul": torch.get_float32_matmul_precision(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def make(question: str, network: Network, *, fused: bool = True, compiled: bool = False, device: str = "cpu") -> Any:
    """The job of a question."""
    if question == "inference":
        return Inference(network, device, compiled)
    return {"step": Step, "update": Update}[question](network, device, fused, compiled)


def build(network: Network, device: str) -> nn.Sequential:
    """The network with the common weights."""
    if isinstance(network, Convolutional):
        return convolutional(network, device)
    layers: list[nn.Module] = []
    values = network.weights()
    for index, (weight, bias) in enumerate(values):
        hidden = index < len(values) - 1
        dense = nn.Linear(*weight.shape, bias=not (hidden and network.regular))
        with torch.no_grad():
            dense.weight.copy_(torch.from_numpy(weight.T))
            if dense.bias is not None:
                dense.bias.copy_(torch.from_numpy(bias))
        layers.append(dense)
        if hidden:
            layers += [nn.BatchNorm1d(weight.shape[1])] if network.regular else []
            layers += [nn.ReLU(), nn.Dropout(0.2)] if network.regular else [nn.ReLU()]
    return nn.Sequential(*layers).to(device)


def convolutional(network: Convolutional, device: str) -> nn.Sequential:
    """The same for a convolutional network, channels last in memory."""
    *kernels, (dense, bias) = network.weights()
    layers: list[nn.Module] = []
    for weight, b in kernels:
        layer = nn.Conv2d(*weight.shape[2:], 3, padding=1)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.transpose(3, 2, 0, 1)))
            layer.bias.copy_(torch.from_numpy(b))
        layers += [layer, nn.ReLU(), nn.MaxPool2d(2)]
    last = nn.Linear(*dense.shape)
    side, depth = network.side // 2 ** len(kernels), network.channels[-1]
    with torch.no_grad():  # its rows by channel, height, width
        rows = dense.reshape(side, side, depth, -1).transpose(3, 2, 0, 1).reshape(dense.shape[1], -1)
        last.weight.copy_(torch.from_numpy(rows.copy()))
        last.bias.copy_(torch.from_numpy(bias))
    return nn.Sequential(*layers, nn.Flatten(), last).to(device, memory_format=torch.channels_last)


def placed(x: Any, device: str) -> Any:
    """A batch on the device; images have their channels second in the shape, last in memory."""
    there = torch.from_numpy(x).to(device)
    return there.permute(0, 3, 1, 2) if there.ndim == 4 else there


def wait(device: str) -> None:
    """Until the device is idle."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


class Step:
    """Forward, cross-entropy, backward, Adam; batches already on the device."""

    def __init__(self, network: Network, device: str, fused: bool, compiled: bool) -> None:
        self.device, self.fused = device, fused
        self.module = build(network, device).train()
        self.model = torch.compile(self.module) if compiled else self.module
        self.batches = [(placed(x, device), torch.from_numpy(y).to(device)) for x, y in network.batches()]
        self.start = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.reset()

    def reset(self) -> None:
        """The first step again."""
        self.module.load_state_dict(self.start)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-3, fused=self.fused or None)
        self.number, self.last = 0, None

    def run(self) -> None:
        """One training step."""
        x, y = self.batches[self.number % len(self.batches)]
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.last, self.number = loss.detach(), self.number + 1

    def synchronize(self) -> None:
        """Wait for the device."""
        wait(self.device)

    def loss(self) -> float:
        """Train once more; the loss before it."""
        self.run()
        return float(self.last)


class Inference:
    """The model on one batch in inference mode, the answer waited for each time."""

    def __init__(self, network: Network, device: str, compiled: bool) -> None:
        self.device = device
        model = build(network, device).eval()
        self.model = torch.compile(model) if compiled else model
        self.x = placed(network.batches(1)[0][0], device)

    def reset(self) -> None:
        """Nothing changes."""

    def run(self) -> None:
        """One answer."""
        with torch.inference_mode():
            self.out = self.model(self.x)
        wait(self.device)

    def synchronize(self) -> None:
        """Each answer was waited for."""

    def outputs(self) -> Any:
        """The answer, on the host."""
        self.run()
        return self.out.cpu().numpy()


class Update(Step):
    """Adam alone, with gradients that are given."""

    def reset(self) -> None:
        """The first step again."""
        super().reset()
        for parameter in self.module.parameters():
            parameter.grad = parameter.detach() * 0.01 + 0.001

    def run(self) -> None:
        """One update."""
        self.optimizer.step()
