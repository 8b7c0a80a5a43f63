"""A small GPT that learns to write a text, character by character; by default the licence of this project.

    python docs/examples/characters.py [FILE] [--steps 400] [--backend numpy]

A window of 64 characters goes in; at each place the model says what comes next, having seen only what stands before. The
loss is the mean cross-entropy in nats a character: log(number of characters) before training, about 3.1 for one that knows
how often each letter comes. 400 steps bring it to about 1.65, in half a minute on one core.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

import nnx
from nnx import backends, ops, random
from nnx.train.stepper import stepper

TEXT = Path(__file__).parents[2] / "LICENSE"
WINDOW, WIDTH, HEADS, BLOCKS = 64, 64, 4, 2


def gpt(count: int) -> nnx.Sequential:
    """Characters → what may come next, (N, T) → (N, T, count)."""
    return nnx.Sequential(
        nnx.Embedding(count, WIDTH, init=nnx.init.normal(0.3)),
        nnx.LearnedPositions(WINDOW, WIDTH, init=nnx.init.normal(0.3)),
        *(nnx.TransformerBlock(WIDTH, HEADS, causal=True, dropout=0.1) for _ in range(BLOCKS)),
        nnx.LayerNorm(WIDTH),
        nnx.Linear(WIDTH, count, init=nnx.init.glorot_normal()),
    )


def loss(logits: Any, y: Any) -> Any:
    """The mean over all places of −log of what the model says of the character that comes."""
    return nnx.namespace(logits).mean(ops.label_cross_entropy(logits, y))


def windows(codes: np.ndarray, rows: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """``rows`` windows of the text drawn for this step, and the same moved on by one character."""
    starts = random.permutation(random.key(0, "windows", step=step), len(codes) - WINDOW)[:rows]
    at = starts[:, None] + np.arange(WINDOW)
    return codes[at], codes[at + 1]


def train(text: str, steps: int, rows: int = 16, backend: str = "numpy", tell: Any = print) -> tuple[Any, list[float]]:
    """The trained model, and its loss at every step."""
    letters = sorted(set(text))
    codes = np.asarray([letters.index(letter) for letter in text])
    be = backends.get(backend)
    model = gpt(len(letters)).initialize(seed=0).to(be)
    optimizer = nnx.optim.AdamW(3e-3, weight_decay=0.01)
    state, take, history = optimizer.init(model.parameters()), stepper(model, loss, compile=True), []
    for number in range(steps):
        x, y = (be.asarray(part) for part in windows(codes, rows, number))
        step = take(optimizer, state, x, y, 0, number)
        state = step.state
        history.append(float(be.to_numpy(step.loss)))
        if number % 50 == 49 or number == 0:
            tell(f"step {number + 1:4}  loss {np.mean(history[-20:]):.3f}")
    return model, history


def write(model: Any, letters: list[str], begin: str, length: int, seed: int = 0) -> str:
    """The text that begins so and goes on as the model likes: each next character is drawn from what it says."""
    be = backends.of(next(iter(model.state().values())))
    for number in range(length):
        seen = np.asarray([[letters.index(letter) for letter in begin[-WINDOW:]]])
        logits = be.to_numpy(model(be.asarray(seen)))[0, -1, :].astype("float64")
        share = np.cumsum(np.exp(logits - logits.max()))
        draw = random.uniform(random.key(seed, "write", step=number), ())
        begin += letters[int(np.searchsorted(share, float(draw) * share[-1]))]
    return begin


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Train a small GPT on a text.")
    parser.add_argument("file", nargs="?", type=Path, default=TEXT)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--backend", default="numpy")
    given = parser.parse_args()
    text = given.file.read_text(encoding="utf-8")
    letters = sorted(set(text))
    print(f"{len(text):,} characters, {len(letters)} different: a loss of {math.log(len(letters)):.2f} knows nothing")
    model, _ = train(text, given.steps, backend=given.backend)
    print(f"\n{write(model, letters, text[: WINDOW // 2], 300)}")


if __name__ == "__main__":
    main()
