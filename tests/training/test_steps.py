"""The steps of an epoch: what they do, and that one captured program can make them all."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from shapes import OPTIM, shape, vary
from torch.utils._python_dispatch import TorchDispatchMode

from bninit.data.load import Data
from bninit.nets.stack import StackedMLP
from bninit.training import steps as steps_module
from bninit.training.loop import Session
from bninit.training.optimisers import Optimiser, build_optimiser
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.settings import CosineSchedule
from bninit.training.steps import CAPTURED, PLAIN, Steps, epoch_order, launch_mode, train_step

MakeData = Callable[..., Data]
RUNNING = ("ema", "cumulative", "population")
OPTIMISERS = ("sgd", "adam", "adamw")
BATCH = 40  # three whole batches and a rest of 30


@pytest.fixture
def trained(settings: StackPlan) -> StackPlan:
    architecture = shape(
        widths=(12, 17, 20, 10), placement="pre", input_norm=True, running="cumulative"
    )
    return vary(settings, architecture=architecture, batch_size=BATCH)


def program(training: Session, settings: StackPlan) -> tuple[StackedMLP, Optimiser, Steps]:
    """Steps of a copy of the session's stack, which are never captured."""
    network = training.network.select(range(training.network.num_replicas))
    optimiser = build_optimiser(network.parameters, settings.optim)
    steps = Steps(network, optimiser, training.data, settings.train, capture=False)
    return network, optimiser, steps


@pytest.mark.parametrize("last_batch", ["keep", "drop"])
def test_the_steps_are_those_of_the_order_one_after_another(
    last_batch: str, trained: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    trained = vary(trained, last_batch=last_batch)
    training = Session(trained, mixed_plans[:3], data)
    network, _, steps = program(training, trained)
    other, optimiser, _ = program(training, trained)
    for epoch, lr in ((1, 0.1), (2, 0.03)):
        order = epoch_order([0, 1, 2], epoch=epoch, num_examples=len(data.train_y))
        expected = []
        with torch.no_grad():
            steps.begin(order, lr=lr)
            for index in torch.split(order, BATCH, dim=1)[: steps.num_steps]:
                assert torch.equal(steps.next_batch, index)
                steps.step()
                expected.append(
                    train_step(other, optimiser, data.train_x, data.train_y, index, lr=lr)
                )
        assert len(expected) == steps.num_steps == (4 if last_batch == "keep" else 3)
        assert torch.equal(torch.from_numpy(steps.losses()), torch.stack(expected, dim=1))
    for name, value in network.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name


class Calls(TorchDispatchMode):
    """What is called, with every argument that is no tensor, and where its tensors' memory is."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, ...]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        told = [x for x in args if not isinstance(x, torch.Tensor | list)]
        named = {k: v for k, v in (kwargs or {}).items() if not isinstance(v, torch.Tensor)}
        self.made.append((str(func), repr(told), repr(named)))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("running", "optimiser"), list(itertools.product(RUNNING, OPTIMISERS)))
def test_every_step_calls_the_same_with_the_same_constants(
    running: str,
    optimiser: str,
    trained: StackPlan,
    data: Data,
    mixed_plans: list[ReplicaPlan],
) -> None:
    """A captured step repeats the calls of one step: what changes has to lie in tensors."""
    trained = vary(trained, running=running, optim=OPTIM[optimiser])
    training = Session(trained, mixed_plans[:2], data)
    _, _, steps = program(training, trained)
    made = []
    with torch.no_grad():
        for epoch in (1, 2):
            steps.begin(epoch_order([0, 1], epoch=epoch, num_examples=150), lr=0.1)
            for _ in range(3):
                with Calls() as calls:
                    steps.step()
                made.append(calls.made)
    # The first one makes room, and tries the shapes of products.
    _, *made = made
    assert all(one == made[0] for one in made)
    waits = ("_local_scalar_dense", "nonzero", "equal.default", "'device'")
    assert not [call for call in made[0] if any(wait in text for wait in waits for text in call)]


def test_nothing_of_the_stack_moves_in_memory(
    trained: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    training = Session(trained, mixed_plans[:2], data)
    places = []
    for _ in range(2):
        training.run_epoch()
        tensors = {**training.network.tensors(), **training.optimiser.tensors()}
        grads = {f"grad of {p.name}": p.grad for p in training.network.parameters}
        places.append({name: t.data_ptr() for name, t in (tensors | grads).items()})
    assert places[0] == places[1]


class Replayed:
    """Stands for a captured graph: makes the step that it was captured from."""

    def __init__(self, steps: Steps, *, is_rest: bool) -> None:
        self._steps, self._is_rest = steps, is_rest
        self.num_replays = 0

    def replay(self) -> None:
        self.num_replays += 1
        self._steps._make(is_rest=self._is_rest)


def test_a_rest_has_a_graph_of_its_own(
    trained: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    plain, replaying = (Session(trained, mixed_plans[:2], data) for _ in range(2))
    graphs = {is_rest: Replayed(replaying.steps, is_rest=is_rest) for is_rest in (False, True)}
    replaying.steps._graphs = graphs
    for _ in range(2):
        assert (plain.run_epoch() == replaying.run_epoch()).all()
    assert [graph.num_replays for graph in graphs.values()] == [6, 2]


def test_how_the_steps_were_made_is_told(
    trained: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    steps_module._launch_mode.clear()
    Session(trained, mixed_plans[:1], data)
    assert launch_mode() == {"steps": PLAIN}


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize(("running", "optimiser"), list(itertools.product(RUNNING, OPTIMISERS)))
def test_captured_steps_are_the_plain_ones(
    running: str,
    optimiser: str,
    trained: StackPlan,
    make_data: MakeData,
    mixed_plans: list[ReplicaPlan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = vary(
        trained,
        running=running,
        optim=OPTIM[optimiser],
        schedule=CosineSchedule(),
        lr=0.01,
        device="cuda",
    )
    data = make_data(device="cuda")
    captured = Session(trained, mixed_plans, data)
    assert launch_mode() == {"steps": CAPTURED}
    monkeypatch.setattr(Steps, "_capture", lambda _self: None)
    plain = Session(trained, mixed_plans, data)
    assert launch_mode() == {"steps": PLAIN}
    for _ in range(2):
        losses = [one.run_epoch() for one in (captured, plain)]
        assert (losses[0] == losses[1]).all()
        for one in (captured, plain):
            one.keep([True] * 5 + [False] + [True] * (len(one.plans) - 6))
    for name, value in captured.network.tensors().items():
        assert torch.equal(value, plain.network.tensors()[name]), name


@pytest.mark.cuda
@needs_cuda
def test_nothing_waits_for_the_gpu_within_an_epoch(
    trained: StackPlan, make_data: MakeData, mixed_plans: list[ReplicaPlan]
) -> None:
    trained = vary(trained, device="cuda")
    training = Session(trained, mixed_plans, make_data(device="cuda"))
    order = epoch_order(list(range(10)), epoch=1, num_examples=150)
    training.steps.begin(order, lr=0.1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(training.steps.num_steps):
            training.steps.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@needs_cuda
def test_a_step_that_cannot_be_captured_is_made_all_the_same(
    trained: StackPlan,
    make_data: MakeData,
    mixed_plans: list[ReplicaPlan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def waiting(*args: Any, **options: Any) -> torch.Tensor:
        loss = train_step(*args, **options)
        loss.cpu()
        return loss

    monkeypatch.setattr(steps_module, "train_step", waiting)
    trained = vary(trained, device="cuda")
    training = Session(trained, mixed_plans, make_data(device="cuda"))
    assert launch_mode()["steps"].startswith(f"{PLAIN}: capturing failed: ")
    assert training.run_epoch().shape == (10, 4)


@pytest.mark.cuda
@needs_cuda
def test_the_first_steps_are_those_of_the_cpu(
    trained: StackPlan, make_data: MakeData, mixed_plans: list[ReplicaPlan]
) -> None:
    losses = [
        Session(vary(trained, device=device), mixed_plans, make_data(device=device)).run_epoch()
        for device in ("cpu", "cuda")
    ]
    assert abs(losses[0] - losses[1]).max() < 1e-3
