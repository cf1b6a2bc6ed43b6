"""Operations and bytes of a training step, counted from shapes. Importable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from bninit.nets.architecture import Architecture


@dataclass(frozen=True)
class Work:
    """What a step of one network takes.

    Attributes:
        flops: Multiplications and additions of its matrix products; 2 m k n for a product of
            (m, k) and (k, n). Batch norm, activations, loss and optimiser are not counted.
        num_bytes: Bytes read and written if every operation reads its operands from memory once
            and writes its result there once.
    """

    flops: int
    num_bytes: int


def step_work(architecture: Architecture, *, batch_size: int, itemsize: int = 4) -> Work:
    """Counts a step: forward, backward and SGD with momentum.

    A linear layer of n inputs and m outputs takes one product forward and two backward, for the
    gradients with respect to its weights and to its input. The second is not needed by a layer
    with nothing that trains before it.

    Bytes: a product reads both factors and writes the result. Batch norm reads its input twice
    forward (for the statistics, and to normalize) and writes it once; backward it reads input and
    gradient twice each, and writes a gradient. An activation reads one array and writes one
    forward, and reads two and writes one backward. The batch is read and written once when it is
    gathered. The optimiser reads value, gradient and momentum of each parameter, and writes value
    and momentum. What is smaller by a factor of the batch or of a width (biases, the loss, the
    statistics themselves) is left out.

    Args:
        architecture: The shape of the network.
        batch_size: Examples of the step.
        itemsize: Bytes of a number.
    """
    products = moved = parameters = 0
    widths = architecture.widths
    moved += 2 * batch_size * widths[0]
    trains_before = False
    for kind, layer in architecture.kinds():
        signal = batch_size * widths[layer]
        if kind == "linear":
            fan_in = widths[layer - 1]
            num_products = 3 if trains_before else 2
            products += num_products * batch_size * fan_in * widths[layer]
            moved += num_products * (
                fan_in * widths[layer] + batch_size * fan_in + batch_size * widths[layer]
            )
            parameters += fan_in * widths[layer]
            trains_before = True
        elif kind == "norm":
            moved += 3 * signal + 5 * signal
            trains_before = trains_before or architecture.affine
        else:
            moved += 2 * signal + 3 * signal
    moved += 5 * parameters
    return Work(flops=2 * products, num_bytes=itemsize * moved)
