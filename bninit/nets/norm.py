"""The norm layers: each is one class and one entry in `NORMS`. Importable without torch.

A class has the layer itself, for all networks of a stack in one call, and beside it what others
need to know of it: its words, its numbers, and the equal module of ``torch.nn``. Its theory is an
entry of `bninit.theory.layers.NORM_THEORIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bninit.nets.settings import NormSettings

EMA = "ema"
CUMULATIVE = "cumulative"
POPULATION = "population"

NOT_AFFINE = "not affine"


class _Statistics(NamedTuple):
    """Of every unit, (replica * feature,) each; the variance is the unbiased one."""

    mean: Tensor
    var: Tensor


class BatchNorm:
    """Batch normalization of each unit over the mini-batch (Ioffe & Szegedy 2015, algorithm 1).

    In training, y = gamma (x - m) / sqrt(v + eps) + beta, with m and v the mean and the biased
    variance of the unit over the mini-batch (arXiv:1502.03167). In evaluation, m and v are the
    running statistics. The running variance is made of unbiased variances, as in torch. gamma
    starts at 1, beta at 0, the running mean at 0 and the running variance at 1.

    The units of all networks are the channels of one call: (replica, feature, batch) is read as
    (1, replica * feature, batch).

    Args:
        name: Its place in the equal ``nn.Sequential``.
        settings: Its eps and so on. Running statistics are made in one of three ways: ``ema``;
            ``cumulative`` (the plain mean over all steps so far, torch's ``momentum=None``);
            ``population`` (the mean over the mini-batches of one pass over the training set with
            the weights held, as in algorithm 2 of the paper: such a pass is made by `collect`,
            and training tracks nothing).
        num_replicas: Networks in the stack.
        num_features: Units of each.
        dtype: Of parameters and statistics.
        device: Where they are.

    Attributes:
        observer: Called in each forward pass in training with the mean of every unit, the
            reciprocal of sqrt(v + eps), (replica * feature,) each, and the number of examples; it
            may read them, and no more.
    """

    label: ClassVar = "batch norm"
    cancels_bias: ClassVar = True
    notes: ClassVar = {
        NOT_AFFINE: "moving mean and moving variance alone, 2 tracked numbers for each node"
    }

    @staticmethod
    def count_numbers(settings: NormSettings, units: int) -> tuple[int, int, str]:
        """Trained numbers, tracked numbers, and a key of `notes` or nothing."""
        return 2 * units if settings.affine else 0, 2 * units, "" if settings.affine else NOT_AFFINE

    @staticmethod
    def module(settings: NormSettings, units: int, *, dtype: torch.dtype) -> nn.Module:
        """The equal module of ``torch.nn`` for one network."""
        from torch import nn

        momentum = settings.momentum if settings.running == EMA else None
        return nn.BatchNorm1d(
            units, eps=settings.eps, momentum=momentum, affine=settings.affine, dtype=dtype
        )

    def __init__(
        self,
        name: str,
        settings: NormSettings,
        *,
        num_replicas: int,
        num_features: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        import torch

        from bninit.nets.parameter import Parameter, Workspace

        shape = (num_replicas, num_features)
        ones = torch.ones(shape, dtype=dtype, device=device)
        affine = settings.affine
        self.name = name
        self.gamma = Parameter(f"{name}.weight", ones.clone()) if affine else None
        self.beta = Parameter(f"{name}.bias", torch.zeros_like(ones)) if affine else None
        self.parameters = [p for p in (self.gamma, self.beta) if p is not None]
        self.running_mean = torch.zeros_like(ones)
        self.running_var = ones.clone()
        self.num_batches_tracked = torch.zeros(num_replicas, dtype=torch.int64, device=device)
        self.eps = settings.eps
        self.momentum = settings.momentum
        self.observer: Callable[[Tensor, Tensor, int], None] | None = None
        self._running = settings.running
        self._collecting = False
        self._averages = _Statistics(self.running_mean.view(-1), self.running_var.view(-1))
        self._batch = _Statistics(*(torch.zeros_like(average) for average in self._averages))
        self._workspace = Workspace()
        self._x: Tensor | None = None
        self._batch_statistics: tuple[Tensor, Tensor] | None = None

    def collect(self, *, on: bool) -> None:
        """Begins or ends a pass over the training set that collects population statistics."""
        if on:
            # The first batch replaces these, but an infinity times its weight 0 would be NaN.
            for mean, var in (self._averages, self._batch):
                mean.zero_()
                var.fill_(1.0)
            self.num_batches_tracked.zero_()
        self._collecting = on

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        """Maps (replica, feature, batch) to the same shape.

        Raises:
            ValueError: A batch of one in training: it has no variance.
        """
        import torch

        if training and x.size(2) < 2:
            raise ValueError("batch norm cannot normalize over a batch of 1")
        x = x.contiguous()
        out = self._workspace.take("out", tuple(x.shape), like=x, keep=training)
        channels = (1, x.size(0) * x.size(1), x.size(2))
        mean = self._workspace.take("mean", channels[1:2], like=x, keep=training)
        invstd = self._workspace.take("invstd", channels[1:2], like=x, keep=training)
        kept, new_weight = self._kept(training=training)
        torch.ops.aten.native_batch_norm.out(
            x.view(channels),
            None if self.gamma is None else self.gamma.flat,
            None if self.beta is None else self.beta.flat,
            None if kept is None else kept.mean,
            None if kept is None else kept.var,
            training,
            new_weight,
            self.eps,
            out=out.view(channels),
            save_mean=mean,
            save_invstd=invstd,
        )
        if training:
            self._track(kept)
            self._x = x
            self._batch_statistics = (mean, invstd)
            if self.observer is not None:
                self.observer(mean, invstd, x.size(2))
        return out

    def backward(self, dy: Tensor) -> Tensor:
        """Fills the gradients of gamma and beta; returns dL/dx, (replica, feature, batch)."""
        import torch

        x = self._x
        assert x is not None, "backward comes after a forward pass in training"
        assert self._batch_statistics is not None
        mean, invstd = self._batch_statistics
        channels = (1, x.size(0) * x.size(1), x.size(2))
        affine = self.gamma is not None
        dx, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
            dy.contiguous().view(channels),
            x.view(channels),
            None if self.gamma is None else self.gamma.flat,
            None,
            None,
            mean,
            invstd,
            True,
            self.eps,
            [True, affine, affine],
        )
        if self.gamma is not None and self.beta is not None:
            self.gamma.flat_grad.copy_(dgamma)
            self.beta.flat_grad.copy_(dbeta)
        shaped: Tensor = dx.view(x.shape)
        return shaped

    def statistics(self) -> dict[str, Tensor]:
        """Running mean and variance, (replica, feature) each, and the steps they are made of."""
        return {
            f"{self.name}.running_mean": self.running_mean,
            f"{self.name}.running_var": self.running_var,
            f"{self.name}.num_batches_tracked": self.num_batches_tracked,
        }

    def _kept(self, *, training: bool) -> tuple[_Statistics | None, float]:
        """What torch's kernel reads or writes as running statistics, and the new values' weight."""
        if not training:
            return self._averages, 0.0
        if self._running == EMA:
            return self._averages, self.momentum
        # The weight 1/n changes from step to step, and so cannot be the constant that the kernel
        # takes: it writes the batch's own statistics, and `_track` averages them.
        tracks = self._collecting or self._running == CUMULATIVE
        return (self._batch, 1.0) if tracks else (None, 0.0)

    def _track(self, kept: _Statistics | None) -> None:
        """Counts a mini-batch, and averages its statistics where the kernel has not done it."""
        if kept is None:
            return
        self.num_batches_tracked += 1
        if kept is not self._batch:
            return
        new_weight = self.num_batches_tracked[0].to(self.running_mean.dtype).reciprocal()
        for running, new in zip(self._averages, kept, strict=True):
            running.mul_(1.0 - new_weight).add_(new * new_weight)


NORMS: dict[str, type[BatchNorm]] = {"batch": BatchNorm}
"""The norm layers by `NormSettings.kind`."""
