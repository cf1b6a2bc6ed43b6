"""The initialisation schemes: the laws behind their names.

A scheme is one function, which gives the size of its law for a layer, and one entry in
`SCHEMES`, which the decorator above it makes. The rest, in `bninit.nets.start`, follows from the
scheme's family. Nothing here imports torch: a config is checked without it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bninit.nets.settings import BiasSettings, InitSettings


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A linear layer as its law sees it: its widths, and the parameters of the scheme.

    A parameter is a field with a default here, and a key of `InitSettings`.

    Attributes:
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        gain: Factor on the standard deviation or limit of the law.
        std: Standard deviation (not the variance) of `normal`.
        limit: Largest absolute value of `uniform`.
        value: The value of `constant`.
        truncated: Whether a normal law is cut at two standard deviations and then widened, so
            that its standard deviation stays that of the uncut law.
    """

    fan_in: int
    fan_out: int
    gain: float = 1.0
    std: float | None = None
    limit: float | None = None
    value: float | None = None
    truncated: bool = False


PARAMETERS: dict[str, Any] = {
    field.name: field.default for field in fields(Layer) if field.default is not MISSING
}
"""What schemes can be told, and what that is where it is left out."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A way to choose the initial weights of a linear layer.

    Attributes:
        name: The name in a config.
        family: Which raw draws it starts from and what it does with them: "none" draws nothing,
            "normal" and "uniform" scale, "orthogonal" makes normal draws orthogonal.
        takes: The keys of `PARAMETERS` that it reads.
        needs: Those of them without a default.
        law: One line; fan_in and fan_out are the layer's widths.
        source: Where the law was published.
        note: What texts disagree about under this name, or what follows from the law.
        size: From a layer, before the gain: the value of family "none", the standard deviation
            of "normal", the limit of "uniform", the factor on "orthogonal".
    """

    name: str
    family: str
    takes: frozenset[str]
    needs: frozenset[str]
    law: str
    source: str
    note: str | None
    size: Callable[[Layer], float]


SCHEMES: dict[str, Scheme] = {}

ALIASES: dict[str, tuple[str, dict[str, float]]] = {
    "glorot_normal": ("xavier_normal", {}),
    "glorot_uniform": ("xavier_uniform", {}),
    "kaiming_normal": ("he_normal", {}),
    "kaiming_uniform": ("he_uniform", {}),
    "notes_xavier_normal": ("lecun_normal", {}),
    "small_normal": ("normal", {"std": 0.01}),
    "large_normal": ("normal", {"std": 1.0}),
}
"""Other names: the scheme that each stands for, and the parameters that it sets."""


def _scheme(
    family: str, *, takes: str = "", needs: str = "", law: str, source: str, note: str | None = None
) -> Callable[[Callable[[Layer], float]], Callable[[Layer], float]]:
    """Enter the decorated function in `SCHEMES` under its own name."""

    def enter(size: Callable[[Layer], float]) -> Callable[[Layer], float]:
        SCHEMES[size.__name__] = Scheme(
            name=size.__name__,
            family=family,
            takes=frozenset(takes.split()) | frozenset(needs.split()),
            needs=frozenset(needs.split()),
            law=law,
            source=source,
            note=note,
            size=size,
        )
        return size

    return enter


def _given(parameter: float | None) -> float:
    if parameter is None:
        raise ValueError("a parameter that the scheme needs is missing")
    return parameter


_LECUN_1998 = "LeCun, Bottou, Orr and Müller 1998, Efficient BackProp, section 4.6"
_GLOROT_2010 = "Glorot and Bengio 2010, PMLR 9:249, eq. 16"
_HE_2015 = "He, Zhang, Ren and Sun 2015, arXiv:1502.01852, eq. 10"
_TANH_NOTE = "For tanh the gain is 1 in Glorot's paper and in Keras, 5/3 in torch: set gain."
_KAIMING_NOTE = (
    "The law of He's paper, for ReLU. torch's kaiming_uniform_ at its default a = sqrt(5), as "
    "nn.Linear calls it, is another one: torch_default."
)


@_scheme(
    "none",
    law="0",
    source="lecture notes N14",
    note="Units of a layer stay equal; if the activation of 0 is 0, only the last bias trains.",
)
def zeros(_layer: Layer) -> float:
    """All weights 0 (N14)."""
    return 0.0


@_scheme(
    "none",
    needs="value",
    law="value",
    source="lecture notes N15",
    note="Units of a layer stay equal: it acts as one unit, however wide.",
)
def constant(layer: Layer) -> float:
    """All weights the same value (N15)."""
    return _given(layer.value)


@_scheme(
    "normal",
    takes="truncated",
    needs="std",
    law="N(0, std^2)",
    source="lecture notes N16, N18",
    note=(
        "std is the standard deviation; texts that write N(0, sigma) may mean the variance. "
        "The notes' small and large random values are small_normal (0.01) and large_normal (1.0)."
    ),
)
def normal(layer: Layer) -> float:
    """Standard deviation `std`, whatever the widths (N16, N18)."""
    return _given(layer.std)


@_scheme("uniform", needs="limit", law="U(-limit, limit)", source="lecture notes N16, N18")
def uniform(layer: Layer) -> float:
    """Limit `limit`, whatever the widths (N16, N18)."""
    return _given(layer.limit)


@_scheme(
    "normal",
    takes="gain truncated",
    law="N(0, gain^2 / fan_in)",
    source=_LECUN_1998,
    note=(
        'The lecture notes and Caffe call this law "Xavier normal" (N20; alias '
        "notes_xavier_normal). Glorot's own, with fan_in + fan_out, is xavier_normal; they are "
        "equal where fan_in = fan_out. " + _TANH_NOTE
    ),
)
def lecun_normal(layer: Layer) -> float:
    """SD sqrt(1 / fan_in) (LeCun et al. 1998; the notes' "Xavier normal", N20)."""
    return math.sqrt(1 / layer.fan_in)


@_scheme(
    "uniform",
    takes="gain",
    law="U(-l, l), l = gain * sqrt(3 / fan_in)",
    source=_LECUN_1998,
    note="The standard deviation is that of lecun_normal. " + _TANH_NOTE,
)
def lecun_uniform(layer: Layer) -> float:
    """Limit sqrt(3 / fan_in), so SD sqrt(1 / fan_in) (LeCun et al. 1998)."""
    return math.sqrt(3 / layer.fan_in)


@_scheme(
    "normal",
    takes="gain truncated",
    law="N(0, gain^2 * 2 / (fan_in + fan_out))",
    source="Glorot and Bengio 2010, PMLR 9:249, eq. 12",
    note=(
        "Glorot's law, as in torch and Keras. The lecture notes and Caffe mean sqrt(1 / fan_in) by "
        '"Xavier normal" (N20): that is lecun_normal (alias notes_xavier_normal). ' + _TANH_NOTE
    ),
)
def xavier_normal(layer: Layer) -> float:
    """SD sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 12)."""
    return math.sqrt(2 / (layer.fan_in + layer.fan_out))


@_scheme(
    "uniform",
    takes="gain",
    law="U(-l, l), l = gain * sqrt(6 / (fan_in + fan_out))",
    source=_GLOROT_2010,
    note="Also the lecture notes' Xavier uniform (N22). " + _TANH_NOTE,
)
def xavier_uniform(layer: Layer) -> float:
    """Limit sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16; N22)."""
    return math.sqrt(6 / (layer.fan_in + layer.fan_out))


@_scheme(
    "normal",
    takes="gain truncated",
    law="N(0, gain^2 * 2 / fan_in)",
    source=_HE_2015,
    note="Also the lecture notes' He normal (N21). " + _KAIMING_NOTE,
)
def he_normal(layer: Layer) -> float:
    """SD sqrt(2 / fan_in), keeps the mean square through ReLU (He et al. 2015, eq. 10; N21)."""
    return math.sqrt(2 / layer.fan_in)


@_scheme(
    "uniform",
    takes="gain",
    law="U(-l, l), l = gain * sqrt(6 / fan_in)",
    source=_HE_2015,
    note="Also the lecture notes' He uniform (N23). " + _KAIMING_NOTE,
)
def he_uniform(layer: Layer) -> float:
    """Limit sqrt(6 / fan_in), so SD sqrt(2 / fan_in) (He et al. 2015, eq. 10; N23)."""
    return math.sqrt(6 / layer.fan_in)


@_scheme(
    "orthogonal",
    takes="gain",
    law="gain * Q, Q with orthonormal rows (fan_out <= fan_in) or columns",
    source="Saxe, McClelland and Ganguli 2014, arXiv:1312.6120",
    note="Gain 1 keeps lengths exactly where fan_out >= fan_in; for ReLU, sqrt(2) is usual.",
)
def orthogonal(_layer: Layer) -> float:
    """A uniformly distributed orthogonal matrix (Saxe et al. 2014)."""
    return 1.0


@_scheme(
    "orthogonal",
    takes="gain",
    law="gain * Q, then each layer scaled until the SD of its output is gain",
    source="Mishkin and Matas 2016, arXiv:1511.06422",
    note="The only scheme that looks at the data: a batch of training images sets the scales.",
)
def lsuv(_layer: Layer) -> float:
    """The orthogonal start of LSUV (Mishkin and Matas 2016); `lsuv_scale` does the rest."""
    return 1.0


@_scheme(
    "uniform",
    takes="gain",
    law="U(-l, l), l = gain / sqrt(fan_in)",
    source="torch.nn.Linear; criticised by Glorot and Bengio 2010, eq. 1",
    note=(
        "What nn.Linear does by itself: kaiming_uniform_ with a = sqrt(5), whose variance "
        "1 / (3 fan_in) is a sixth of he_uniform's. Its biases follow the same law."
    ),
)
def torch_default(layer: Layer) -> float:
    """Limit 1 / sqrt(fan_in), so SD 1 / sqrt(3 fan_in): `nn.Linear`'s own law."""
    return 1 / math.sqrt(layer.fan_in)


BIAS_SCHEMES: dict[str, Scheme] = {
    name: replace(SCHEMES[name], takes=SCHEMES[name].takes - {"gain", "truncated"})
    for name in ("zeros", "constant", "normal", "uniform", "torch_default")
}
"""The schemes for biases: the same laws, with fan_in that of the bias's layer, and no gain."""


TRUNCATION = 2.0
"""Where a truncated normal is cut, in standard deviations of the normal that is cut."""

TRUNCATED_SD = 0.87962566103423978
"""Standard deviation of N(0, 1) cut at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)), as in Keras, JAX."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """The law of one weight, or of one bias, of a layer.

    Attributes:
        text: The law with the layer's numbers in it: ``N(0, 2 / 784)``.
        mean: Its mean.
        sd: Its standard deviation; for `lsuv` that of the orthogonal start.
        limit: Largest absolute value; None where there is none.
        scaled_by_data: Whether the weights are scaled on training images afterwards.
    """

    text: str
    mean: float
    sd: float
    limit: float | None
    scaled_by_data: bool = False


def weight_law(init: InitSettings, *, fan_in: int, fan_out: int) -> Law:
    """The law of a layer's weights: of each it has the text, mean, standard deviation and limit.

    A limit l gives the SD l / sqrt(3). Truncated laws keep the standard deviation of the uncut
    ones. An entry of an orthogonal matrix has variance gain^2 / max(fan_in, fan_out), because its
    shorter side consists of unit vectors of the longer one.

    Args:
        init: The scheme and its parameters.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
    """
    return _law(*layer_law(SCHEMES, init, fan_in=fan_in, fan_out=fan_out))


def bias_law(bias: BiasSettings, *, fan_in: int, fan_out: int) -> Law:
    """The law of a layer's biases; as `weight_law`."""
    return _law(*layer_law(BIAS_SCHEMES, bias, fan_in=fan_in, fan_out=fan_out))


def layer_law(
    table: Mapping[str, Scheme],
    settings: InitSettings | BiasSettings,
    *,
    fan_in: int,
    fan_out: int,
) -> tuple[Scheme, Layer]:
    """The scheme of `SCHEMES` or `BIAS_SCHEMES` that settings name, and the layer as it sees it."""
    scheme = table[settings.scheme]
    parameters = {key: getattr(settings, key) for key in scheme.takes}
    return scheme, Layer(fan_in=fan_in, fan_out=fan_out, **parameters)


def law_size(row: Scheme, layer: Layer) -> float:
    """The size of the law, gain included: a value, a standard deviation, a limit or a factor."""
    return layer.gain * row.size(layer)


def _law(row: Scheme, layer: Layer) -> Law:
    size = law_size(row, layer)
    mean, sd, limit = 0.0, size, None
    match row.family:
        case "none":
            mean, sd, limit = size, 0.0, abs(size)
        case "normal":
            limit = size * TRUNCATION / TRUNCATED_SD if layer.truncated else None
        case "uniform":
            sd, limit = size / math.sqrt(3), size
        case _:
            sd, limit = size / math.sqrt(max(layer.fan_in, layer.fan_out)), size
    return Law(
        text=_written_out(row, layer),
        mean=mean,
        sd=sd,
        limit=limit,
        scaled_by_data=row.name == "lsuv",
    )


def _written_out(row: Scheme, layer: Layer) -> str:
    """The line of the scheme's law with numbers for its names: ``N(0, 2 / 784)``."""
    said = row.law
    if layer.gain == 1:
        said = re.sub(r"\bgain(\^2)? \* ", "", said)
        said = re.sub(r"\bgain(\^2)?(?!\w)", "1", said)
    longer = "rows" if layer.fan_out <= layer.fan_in else "columns"
    said = re.sub(r"rows \(fan_out <= fan_in\) or columns", longer, said)
    numbers = {"fan_in": layer.fan_in, "fan_out": layer.fan_out, "gain": layer.gain}
    for name in row.needs:
        numbers[name] = getattr(layer, name)
    for name, number in numbers.items():
        said = re.sub(rf"\b{name}\b", f"{number:.6g}", said)
    return said
