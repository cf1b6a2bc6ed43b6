"""The same training with Keras and its JAX backend, by ``fit``."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import keras
import numpy as np

from bninit.verbs.bench.baselines import LEARNING_RATE, MOMENTUM, Case, Losses


class KerasFit:
    """One network.

    Args:
        case: What is trained.
    """

    def __init__(self, case: Case) -> None:
        self.name = "Keras on JAX, fit"
        self.num_networks = 1
        self._batch_size = case.batch_size
        self._x, self._y = case.data.train_x.cpu().numpy(), case.data.train_y.cpu().numpy()
        self._order: Any = case.order(0).numpy()
        self._network = _network(case)
        self._network.compile(
            optimizer=keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=True,
        )

    def train(self) -> Losses:
        """See `Loop.train`."""
        told = _Losses()
        first, self._order = self._order, None
        x, y = (self._x, self._y) if first is None else (self._x[first], self._y[first])
        self._network.fit(
            x, y, batch_size=self._batch_size, shuffle=first is None, verbose=0, callbacks=[told]
        )
        # Keras tells the mean over the epoch so far.
        sums = np.array(told.means) * np.arange(1, len(told.means) + 1)
        return np.diff(sums, prepend=0.0)[None]


class _Losses(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.means: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self.means.append(logs["loss"])


def _network(case: Case) -> Any:
    shape, start = case.architecture, case.start(0)
    network = keras.Sequential([keras.Input((shape.widths[0],))])
    for place, (kind, layer) in enumerate(shape.kinds()):
        own = {
            name.partition(".")[2]: tensor.numpy()
            for name, tensor in start.items()
            if name.startswith(f"{place}.")
        }
        if kind == "linear":
            made = keras.layers.Dense(shape.widths[layer], use_bias="bias" in own)
            weights = [own["weight"].T, *([own["bias"]] if "bias" in own else [])]
        elif kind == "norm":
            made = keras.layers.BatchNormalization(momentum=1 - shape.momentum, epsilon=shape.eps)
            weights = [own[name] for name in ("weight", "bias", "running_mean", "running_var")]
        else:
            made, weights = keras.layers.ReLU(), []
        network.add(made)
        made.set_weights(weights)
    return network
