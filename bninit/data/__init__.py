"""Data sets as whole tensors: where their files are, what they hold, how they are split and scaled.

Modules:
    catalog, settings: Names and sizes of the data sets, folders to search; the config's section.
    files: Reading and checking the files; the fixed permutations behind validation and test parts.
    download: Downloading them, whole or not at all.
    load: Splitting and scaling into tensors on a device; the inventory of `bninit data`.

Importing this package imports neither NumPy, torch nor torchvision.
"""

from bninit.data.catalog import DATASETS, SCALES, Dataset, Scale

__all__ = ["DATASETS", "SCALES", "Dataset", "Scale"]
