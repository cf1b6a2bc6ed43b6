"""A trained tensor of a stack, with its gradient."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Parameter:
    """A trained tensor of every network of a stack.

    Attributes:
        name: The key of the tensor in the state dict of the equal ``nn.Sequential``.
        value: (replica, ...), one slice for each network.
        grad: As ``value``; overwritten by each backward pass.
    """

    name: str
    value: Tensor
    grad: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.grad = torch.zeros_like(self.value)
