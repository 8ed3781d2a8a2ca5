"""Effective force constants of order 2 at a temperature, with their samples, on disk.

The data sets ``force_constants``, ``p2s_map`` and ``physical_unit`` are those of phonopy, which reads the
file as its own ``force_constants.hdf5``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import check_shape
from mlff_dyn.store.sealed_file import SealedFormat, read_array, read_sealed, write_sealed
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from pathlib import Path

    import h5py
    import numpy as np
    from numpy.typing import NDArray

EFFECTIVE_FORMAT = SealedFormat(
    "mlff-dyn effective force constants", version=1, sealed_since=1, fix="run mlff-dyn phonons again"
)
_PLAIN = (str, float, int, bool)


@dataclass(frozen=True, eq=False)
class EffectiveForceConstants:
    """Order 2 at a temperature, in phonopy's compact form, with two kinds of samples.

    Attributes
    ----------
    kind : str
        ``dynamics`` or ``self-consistent``.
    statistics : str
        ``classical`` or ``quantum``, of the displacements that they were averaged over.
    temperature_kelvin : float
    supercell : ndarray of int, shape (3, 3)
        Rows are its vectors in those of the primitive cell, as `Torus.matrix`.
    p2s_map : ndarray of int, shape (n_sites,)
        Atoms of phonopy's supercell that the first axis of the force constants runs over.
    force_constants : ndarray, shape (n_sites, n_atoms, 3, 3), eV/Å²
        Atoms in the order of phonopy's supercell; dipoles included.
    of_data : ndarray, shape (n_samples, n_sites, n_atoms, 3, 3)
        Of samples of the posterior: the draws of `sampled_phonons` with the same seed, not calibrated.
    of_monte_carlo : ndarray, shape (n_samples, n_sites, n_atoms, 3, 3)
        Samples of the statistical error of the average.
    calibration : float
        Factor on standard deviations over ``of_data``, from held-out configurations.
    seed : int
        Of the samples.
    mean_displacements : ndarray, shape (n_sites, 3), Å
        Of the sites, in the order of ``p2s_map``.
    n_configurations : int
        That were averaged over.
    error_relative : float
        Monte Carlo error of the effective forces over their root mean square.
    is_converged : bool
        Whether the iterations came to an end; dynamics always does.
    energies : ndarray, shape (3,)
        Mean of the energy that is not in the harmonic free energy of these force constants, for each
        primitive cell, eV, and its standard deviations by Monte Carlo and, calibrated, of the whole free
        energy by the data. Zero for ``dynamics``, which gives no free energy.
    inputs : str
        Digest of all that they were made from.
    model : str
        Digest of the file of the model, as `file_digest` says it.
    """

    kind: str
    statistics: str
    temperature_kelvin: float
    supercell: NDArray[np.int64]
    p2s_map: NDArray[np.int64]
    force_constants: NDArray[np.float64]
    of_data: NDArray[np.float64]
    of_monte_carlo: NDArray[np.float64]
    calibration: float
    seed: int
    mean_displacements: NDArray[np.float64]
    n_configurations: int
    error_relative: float
    is_converged: bool
    energies: NDArray[np.float64]
    inputs: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        """Check shapes."""
        n_sites, n_atoms = len(self.p2s_map), self.force_constants.shape[1]
        check_shape("force_constants", self.force_constants, (n_sites, n_atoms, 3, 3))
        check_shape("of_data", self.of_data, (None, n_sites, n_atoms, 3, 3))
        check_shape("of_monte_carlo", self.of_monte_carlo, (None, n_sites, n_atoms, 3, 3))
        check_shape("mean_displacements", self.mean_displacements, (n_sites, 3))
        check_shape("supercell", self.supercell, (3, 3))
        check_shape("energies", self.energies, (3,))


def effective_name(temperature_kelvin: float) -> str:
    """Name of the file of a temperature."""
    return f"effective-{format_kelvin(temperature_kelvin)}K.h5"


def write_effective(path: Path, found: EffectiveForceConstants) -> None:
    """Write effective force constants.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with write_sealed(path) as file:
        EFFECTIVE_FORMAT.stamp(file)
        file.create_dataset("physical_unit", data=["eV/angstrom^2"])
        for each in fields(found):
            value = getattr(found, each.name)
            if isinstance(value, _PLAIN):
                file.attrs[each.name] = value
            else:
                file[each.name] = value


def read_effective(path: Path) -> EffectiveForceConstants:
    """Read effective force constants.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format.
    """
    return read_sealed(path, EFFECTIVE_FORMAT, _read)


def _read(file: h5py.File) -> EffectiveForceConstants:
    plain = {"str": str, "float": float, "int": int, "bool": bool}
    values: dict[str, Any] = {
        each.name: plain[str(each.type)](file.attrs[each.name])
        if each.type in plain
        else read_array(file[each.name])
        for each in fields(EffectiveForceConstants)
    }
    return EffectiveForceConstants(**values)
