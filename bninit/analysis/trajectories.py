"""The path of a training in the plane in which most of it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

FEWEST_SNAPSHOTS = 4
"""From a start, an end and two points between on, a path spans a plane after centring."""

RANDOM_WALK = (6 / np.pi**2, 6 / (4 * np.pi**2))
"""What the first two components explain of a long random walk in many dimensions: 61 and 15 %.

Antognini & Sohl-Dickstein 2018 (arXiv:1806.08805, section 2). A path whose components explain as
much need not have gone anywhere in particular.
"""


@dataclass(frozen=True, kw_only=True)
class PrincipalPlane:
    """The two principal components of a path.

    Attributes:
        directions: Unit vectors at right angles, (2, parameter).
        path: Coordinates of each snapshot, (snapshot, 2); the last one lies at (0, 0).
        explained: Fraction of the path's variance along each direction, (2,).
    """

    directions: Numbers
    path: Numbers
    explained: Numbers

    @property
    def explained_pair(self) -> tuple[float, float]:
        """`explained` as plain numbers."""
        return float(self.explained[0]), float(self.explained[1])


def principal_plane(snapshots: npt.NDArray[np.floating]) -> PrincipalPlane:
    """Finds the plane through the last snapshot in which a path varies most.

    Li et al. 2018 (arXiv:1712.09913, section 7.2): the principal components of the differences
    between each snapshot and the last. The path is projected at right angles: what it does
    outside the plane is not seen. Signs are chosen so that the first snapshot lies at positive
    coordinates.

    Args:
        snapshots: (snapshot, parameter), in the order of time, at least `FEWEST_SNAPSHOTS`.

    Raises:
        ValueError: There are fewer, or the path does not span a plane.
    """
    if len(snapshots) < FEWEST_SNAPSHOTS:
        raise ValueError(f"a path needs {FEWEST_SNAPSHOTS} snapshots, not {len(snapshots)}")
    differences = np.asarray(snapshots, dtype=np.float64) - snapshots[-1]
    centred = differences[:-1] - differences[:-1].mean(axis=0)
    # There are far more parameters than snapshots: the small matrix has the same spectrum.
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    if not variances[1] > 1e-12 * variances[0]:
        raise ValueError("the path lies on a line, and spans no plane")
    directions = (vectors[:, :2] / np.sqrt(variances[:2])).T @ centred
    path = differences @ directions.T
    signs = np.where(path[0] < 0, -1.0, 1.0)
    return PrincipalPlane(
        directions=directions * signs[:, None],
        path=path * signs,
        explained=variances[:2] / variances.clip(min=0.0).sum(),
    )
