"""The same training by hand in JAX: an epoch is one jitted scan; several networks are a vmap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bninit.verbs.bench.baselines import LEARNING_RATE, MOMENTUM, Build, Case, Losses

Arrays = dict[str, Any]


class JaxNetworks:
    """Networks by hand in JAX.

    Args:
        case: What is trained.
        num_networks: With one there is no vmap.
    """

    def __init__(self, case: Case, *, num_networks: int) -> None:
        self.name = "JAX, scan" if num_networks == 1 else f"JAX, vmap of {num_networks}"
        self.num_networks = num_networks
        self._case = case
        self._x, self._y = (
            jnp.asarray(tensor.cpu().numpy()) for tensor in (case.data.train_x, case.data.train_y)
        )
        starts = [
            {name: jnp.asarray(tensor.numpy()) for name, tensor in case.start(seed).items()}
            for seed in range(num_networks)
        ]
        state = {name: jnp.stack([start[name] for start in starts]) for name in starts[0]}
        self._tracked = {name: array for name, array in state.items() if _is_tracked(name)}
        self._values = {name: array for name, array in state.items() if name not in self._tracked}
        self._momenta = jax.tree.map(jnp.zeros_like, self._values)
        self._rng = np.random.default_rng(0)
        self._orders: Any = np.stack([case.order(seed).numpy() for seed in range(num_networks)])
        epoch = partial(_epoch, tuple(case.architecture.kinds()), case.architecture.eps)
        if num_networks == 1:
            self._epoch = jax.jit(_of_one(epoch), donate_argnums=(0, 1, 2))
        else:
            self._epoch = jax.jit(
                jax.vmap(epoch, in_axes=(0, 0, 0, 0, None, None)), donate_argnums=(0, 1, 2)
            )

    def train(self) -> Losses:
        """See `Loop.train`."""
        orders = self._orders
        if orders is None:
            orders = np.stack(
                [self._rng.permutation(len(self._y)) for _ in range(self.num_networks)]
            )
        self._orders = None
        batches = orders.reshape(self.num_networks, -1, self._case.batch_size)
        self._values, self._momenta, self._tracked, losses = self._epoch(
            self._values, self._momenta, self._tracked, batches, self._x, self._y
        )
        return np.array(losses)


def scan() -> Build:
    """One network."""
    return partial(JaxNetworks, num_networks=1)


def vmap_of(num_networks: int) -> Build:
    """Several networks under vmap."""
    return partial(JaxNetworks, num_networks=num_networks)


def _is_tracked(name: str) -> bool:
    return name.split(".")[1] in ("running_mean", "running_var", "num_batches_tracked")


def _of_one(epoch: Callable[..., Any]) -> Callable[..., Any]:
    def one(values: Arrays, momenta: Arrays, tracked: Arrays, batches: Any, x: Any, y: Any) -> Any:
        first = [jax.tree.map(lambda a: a[0], each) for each in (values, momenta, tracked, batches)]
        return jax.tree.map(lambda a: a[None], epoch(*first, x, y))

    return one


def _epoch(
    kinds: tuple[tuple[str, int], ...],
    eps: float,
    values: Arrays,
    momenta: Arrays,
    tracked: Arrays,
    batches: Any,
    x: Any,
    y: Any,
) -> Any:
    def loss_of(values: Arrays, tracked: Arrays, index: Any) -> tuple[Any, Arrays]:
        h, new = x[index], {}
        for place, (kind, _) in enumerate(kinds):
            if kind == "linear":
                h = h @ values[f"{place}.weight"].T
                if f"{place}.bias" in values:
                    h = h + values[f"{place}.bias"]
            elif kind == "norm":
                mean, var = h.mean(axis=0), h.var(axis=0)
                h = (h - mean) * jax.lax.rsqrt(var + eps)
                h = h * values[f"{place}.weight"] + values[f"{place}.bias"]
                unbiased = var * (len(index) / (len(index) - 1))
                for name, of_batch in (("running_mean", mean), ("running_var", unbiased)):
                    key = f"{place}.{name}"
                    new[key] = 0.9 * tracked[key] + 0.1 * of_batch
                key = f"{place}.num_batches_tracked"
                new[key] = tracked[key] + 1
            else:
                h = jax.nn.relu(h)
        picked = jnp.take_along_axis(h, y[index][:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(h, axis=1) - picked).mean(), new

    def step(carry: Any, index: Any) -> Any:
        values, momenta, tracked = carry
        (loss, tracked), grads = jax.value_and_grad(loss_of, has_aux=True)(values, tracked, index)
        momenta = jax.tree.map(lambda m, g: MOMENTUM * m + g, momenta, grads)
        values = jax.tree.map(lambda v, m: v - LEARNING_RATE * m, values, momenta)
        return (values, momenta, tracked), loss

    (values, momenta, tracked), losses = jax.lax.scan(step, (values, momenta, tracked), batches)
    return values, momenta, tracked, losses
