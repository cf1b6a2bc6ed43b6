"""What probes find, against torch's own modules, hooks and autograd on the equal networks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from shapes import drawn, initial, shape
from torch import Tensor, nn
from torch.nn import functional

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.settings import BiasSettings
from bninit.nets.signals import LayerSignals, read_signals
from bninit.nets.stack import StackedMLP
from bninit.training.batch_norm_probe import NUM_VALIDATION, POPULATION_BATCHES
from bninit.training.evaluation import shared
from bninit.training.probes import PROBES
from bninit.training.readings import WHOLE, ProbeContext, Reading
from bninit.training.running_averages import RunningAverages
from bninit.training.signal_statistics import PERCENTILES

NUM = 60
BATCH = 25


def _network(architecture: Architecture, seeds: list[int]) -> StackedMLP:
    """Biases, gamma and beta are not what a training starts with."""
    network = drawn(
        architecture, seeds=seeds, init=initial(bias=BiasSettings(scheme="normal", std=0.3))
    )
    generator = torch.Generator().manual_seed(1)
    for norm in network.batch_norms:
        for parameter in norm.parameters:
            noise = torch.randn(parameter.value.shape, generator=generator, dtype=torch.float64)
            parameter.value.add_(0.3 * noise)
    return network


def _twin(network: StackedMLP, replica: int) -> nn.Sequential:
    twin = build_sequential(network.architecture, dtype=torch.float64)
    twin.load_state_dict(network.state(replica))
    return twin


def _context(network: StackedMLP, data: Data, **changes: object) -> ProbeContext:
    values: dict[str, object] = {
        "step": 3,
        "epoch": 0,
        "at_epoch": True,
        "network": network.select(range(network.num_replicas)),
        "running": {},
        "data": data,
        "batch_size": BATCH,
        "probe_size": NUM,
        "num_units": 2,
        "next_batch": lambda: torch.zeros(1),
        "learning_rate": 0.1,
    }
    return ProbeContext(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(make_data: Callable[..., Data]) -> Data:
    return make_data(dtype=torch.float64, num_train=300, num_val=300)


Found = dict[tuple[int, str, str, int], Tensor]


def _read(group: str, context: ProbeContext) -> Found:
    readings: list[Reading] = list(PROBES[group](context))
    found = {(r.layer, r.place, r.quantity, r.unit): r.values for r in readings}
    assert len(found) == len(readings), "something is read twice"
    assert all(r.values.shape == (context.network.num_replicas,) for r in readings)
    return found


@pytest.fixture(params=["none", "pre", "post"])
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return shape(
        widths=(12, 17, 9, 10),
        placement=request.param,
        activation="tanh",
        input_norm=request.param == "post",
    )


def _signals(network: StackedMLP, data: Data) -> list[LayerSignals]:
    """What goes through the network on the probe batch, which `test_signals` holds to autograd."""
    x, labels = data.train_x[:NUM], data.train_y[:NUM]
    return read_signals(network, shared(network, x), labels.expand(network.num_replicas, -1))


def _outputs(network: StackedMLP, replica: int, data: Data) -> dict[tuple[int, str], Tensor]:
    """(example, unit) by layer and place."""
    return {
        (one.layer, place): signal[replica].T
        for one in _signals(network, data)
        for place, signal in (
            ("linear", one.linear_out),
            ("norm", one.norm_out),
            ("activation", one.activation_out),
        )
        if signal is not None
    }


def test_signals_are_those_of_torch(architecture: Architecture, data: Data) -> None:
    network = _network(architecture, [0, 1])
    found = _read("signals", _context(network, data))
    for replica in range(2):
        for (layer, place), output in _outputs(network, replica, data).items():
            values = output.numpy()
            expected = {
                "mean": values.mean(),
                "sd": values.std(),
                "unit_sd": math.sqrt(values.var(axis=0).mean()),
                **{f"p{p:02d}": np.percentile(values, p) for p in PERCENTILES},
            }
            for quantity, figure in expected.items():
                value = found[layer, place, quantity, WHOLE][replica].item()
                assert value == pytest.approx(figure, rel=1e-9, abs=1e-12), (layer, place, quantity)
    places = {key[1] for key in found}
    assert ("norm" in places) == (architecture.placement != "none")


def test_units_are_followed_where_their_activation_reads_them(
    architecture: Architecture, data: Data
) -> None:
    network = _network(architecture, [0])
    found = _read("signals", _context(network, data))
    place = "norm" if architecture.placement == "pre" else "linear"
    followed = {key for key in found if key[3] != WHOLE}
    assert {key[:2] for key in followed} == {(1, place), (2, place)}
    assert {key[3] for key in followed if key[0] == 1} == {4, 12}
    outputs = _outputs(network, 0, data)
    for layer, _, quantity, unit in followed:
        values = outputs[layer, place].numpy()[:, unit]
        figure = np.percentile(values, int(quantity[1:]))
        assert found[layer, place, quantity, unit].item() == pytest.approx(figure, rel=1e-9)


def test_gradients_are_told_by_their_spread_and_norms(
    architecture: Architecture, data: Data
) -> None:
    network = _network(architecture, [0, 1])
    found = _read("gradients", _context(network, data))
    weights = [parameter.value for parameter in network.parameters if parameter.value.dim() == 3]
    for signals, weight in zip(_signals(network, data), weights, strict=True):
        for replica in range(2):
            # Times the examples: the gradient of the sum of the losses.
            values = NUM * signals.linear_grad[replica].numpy()
            norm = weight[replica].norm().item()
            gradient_norm = signals.weight_grad[replica].norm().item()
            for (place, quantity), figure in {
                ("gradient", "sd"): values.std(),
                ("gradient", "p15"): np.percentile(values, 15),
                ("weight", "gradient_norm"): gradient_norm,
                ("weight", "norm"): norm,
                ("weight", "gradient_to_weight"): gradient_norm / norm,
            }.items():
                value = found[signals.layer, place, quantity, WHOLE][replica].item()
                assert value == pytest.approx(figure, rel=1e-9, abs=1e-13), quantity


def test_shift_is_in_sds_of_the_context_before(architecture: Architecture, data: Data) -> None:
    before, after = _network(architecture, [0]), _network(architecture, [5])
    first = _context(before, data)
    assert not [key for key in _read("signals", first) if key[2] == "shift"]
    found = _read("signals", _context(after, data, memory=first.memory))
    former, latter = (_outputs(network, 0, data) for network in (before, after))
    for (layer, place), new in latter.items():
        old = former[layer, place]
        moved = (new.mean(dim=0) - old.mean(dim=0)).square().mean().sqrt()
        sd = old.var(dim=0, correction=0).mean().sqrt()
        value = found[layer, place, "shift", WHOLE].item()
        assert value == pytest.approx((moved / sd).item(), rel=1e-9, abs=1e-12)


def test_units_that_are_copies_or_dead_are_counted(data: Data) -> None:
    network = _network(shape(widths=(12, 16, 9, 10)), [0, 1])
    weight, bias = network.parameters[0].value, network.parameters[1].value
    weight[0, 8:] = weight[0, :8]
    bias[0, 8:] = bias[0, :8]
    bias[1, :4] = -100.0
    found = _read("units", _context(network, data))
    assert found[1, "weight", "distinct_units", WHOLE].tolist() == [8, 16]
    assert found[2, "weight", "distinct_units", WHOLE].tolist() == [9, 9]
    dead = found[1, "activation", "dead_fraction", WHOLE].tolist()
    assert dead[1] == pytest.approx(0.25)
    outputs = _outputs(network, 1, data)[1, "activation"]
    zero = (outputs == 0).double().mean().item()
    assert found[1, "activation", "saturated_fraction", WHOLE][1].item() == pytest.approx(zero)
    singular = torch.linalg.svdvals(outputs)
    shares = singular / singular.sum()
    rank = torch.special.entr(shares).sum().exp().item()
    value = found[1, "activation", "effective_rank", WHOLE][1].item()
    assert value == pytest.approx(rank, rel=1e-6)
    within = _read("units", _context(network, data, at_epoch=False))
    assert {key[2] for key in within} == {"dead_fraction", "saturated_fraction"}


@pytest.mark.parametrize("running", ["ema", "cumulative", "population"])
def test_averages_are_what_torch_keeps(running: str, data: Data) -> None:
    momentum, eps = 0.1, 1e-3
    architecture = shape(
        widths=(12, 7, 10), placement="pre", running=running, momentum=momentum, eps=eps
    )
    network = _network(architecture, [0, 1])
    averages = RunningAverages(network, batch_size=BATCH)
    ema, cumulative = (
        [nn.BatchNorm1d(7, eps=eps, momentum=m, dtype=torch.float64) for _ in range(2)]
        for m in (momentum, None)
    )
    sizes = [BATCH] * 6 + [10] + [BATCH] * 3
    start = 0
    for steps, size in enumerate(sizes):
        for kind, kept in averages.statistics(num_steps=steps).items():
            (found,) = kept
            for replica, module in enumerate({"ema": ema, "cumulative": cumulative}[kind]):
                assert module.running_mean is not None
                assert module.running_var is not None
                torch.testing.assert_close(found.mean[replica], module.running_mean)
                torch.testing.assert_close(found.var[replica], module.running_var)
        x = data.train_x[start : start + size]
        start = (start + size) % 200
        network.forward(x.T.expand(2, -1, -1), training=True)
        for replica in range(2):
            linear = _twin(network, replica)[0]
            for modules in (ema, cumulative):
                modules[replica](linear(x))


def _statistics(twin: nn.Sequential, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and unbiased variance of each batch norm's input, in training mode."""
    found = []
    for module in twin:
        if isinstance(module, nn.BatchNorm1d):
            found.append((x.mean(dim=0), x.var(dim=0)))
            x = functional.batch_norm(
                x, None, None, module.weight, module.bias, training=True, eps=module.eps
            )
        else:
            x = module(x)
    return found


def test_the_population_is_the_mean_over_mini_batches(
    architecture: Architecture, data: Data
) -> None:
    if architecture.placement == "none":
        assert _read("batch_norm", _context(_network(architecture, [0]), data)) == {}
        return
    network = _network(architecture, [0, 1])
    averages = RunningAverages(network, batch_size=BATCH)
    network.forward(data.train_x[100:125].T.expand(2, -1, -1), training=True)
    running = averages.statistics(num_steps=1)
    found = _read("batch_norm", _context(network, data, running=running))
    layers = [layer for kind, layer in architecture.kinds() if kind == "norm"]
    for replica in range(2):
        twin = _twin(network, replica)
        with torch.no_grad():
            parts = [
                _statistics(twin, data.train_x[i * BATCH : (i + 1) * BATCH])
                for i in range(POPULATION_BATCHES)
            ]
        for i, layer in enumerate(layers):
            means = torch.stack([part[i][0] for part in parts])
            sds = (torch.stack([part[i][1] for part in parts]) + 1e-5).sqrt()
            true_mean, true_var = means.mean(dim=0), (sds**2).mean(dim=0)
            sd = true_var.sqrt()
            scatter = (means.var(dim=0) / true_var).mean()
            value = found[layer, "norm", "mean_gap_batch", WHOLE][replica].item()
            assert value == pytest.approx(scatter.sqrt().item(), rel=1e-6)
            logs = (sds / sd).log().square().mean() * POPULATION_BATCHES / (POPULATION_BATCHES - 1)
            value = found[layer, "norm", "sd_gap_batch", WHOLE][replica].item()
            assert value == pytest.approx(logs.sqrt().item(), rel=1e-6)
            for kind in ("ema", "cumulative"):
                gap = ((running[kind][i].mean[replica] - true_mean) / sd).square().mean()
                expected = max(0.0, (gap - scatter / POPULATION_BATCHES).item()) ** 0.5
                value = found[layer, "norm", f"mean_gap_{kind}", WHOLE][replica].item()
                assert value == pytest.approx(expected, rel=1e-6), kind
            gamma = network.batch_norms[i].gamma
            assert gamma is not None
            drift = (gamma.value[replica] - 1).square().mean().sqrt().item()
            value = found[layer, "norm", "gamma_drift", WHOLE][replica].item()
            assert value == pytest.approx(drift)


def test_the_modes_are_those_of_torch(architecture: Architecture, data: Data) -> None:
    if architecture.placement == "none":
        return
    network = _network(architecture, [0])
    averages = RunningAverages(network, batch_size=BATCH)
    for start in (0, 25, 50):
        network.forward(data.train_x[start : start + 25].T.unsqueeze(0), training=True)
    found = _read("batch_norm", _context(network, data, running=averages.statistics(num_steps=3)))
    x, y = data.val_x[:NUM_VALIDATION], data.val_y[:NUM_VALIDATION]
    twin = _twin(network, 0)

    def figures(x: Tensor, y: Tensor, *, train: bool) -> tuple[float, float]:
        with torch.no_grad():
            logits = twin.train(train)(x)
        hits = (logits.argmax(dim=1) == y).double().mean().item()
        return functional.cross_entropy(logits, y).item(), hits

    # The network's own moving averages are in its state.
    expected = {"ema": figures(x, y, train=False)}
    whole = NUM_VALIDATION // BATCH * BATCH
    parts = [
        figures(x[i : i + BATCH], y[i : i + BATCH], train=True) for i in range(0, whole, BATCH)
    ]
    expected["train_mode"] = (
        float(np.mean([loss for loss, _ in parts])),
        float(np.mean([hits for _, hits in parts])),
    )
    for module in twin:
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        for i in range(POPULATION_BATCHES):
            twin.train()(data.train_x[i * BATCH : (i + 1) * BATCH])
    expected["population"] = figures(x, y, train=False)
    for mode, (loss, hits) in expected.items():
        assert found[WHOLE, "network", f"loss_{mode}", WHOLE].item() == pytest.approx(
            loss, rel=1e-9
        )
        assert found[WHOLE, "network", f"accuracy_{mode}", WHOLE].item() == pytest.approx(hits)
