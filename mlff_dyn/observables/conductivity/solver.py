"""Lattice thermal conductivity of given force constants on a mesh of wave vectors, by phono3py."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.born_file import phonopy_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constant_slopes import force_constant_slopes
from mlff_dyn.model.force_constants import whole_force_constants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

Mesh = tuple[int, int, int]
RTA, LBTE = "rta", "lbte"
_LEAST_VERSION = (4, 10)
LEAST_LINEWIDTH_THZ = 1e-10
"""Below it a mode decays into nothing on the mesh: phono3py would let it carry heat without limit."""
COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")


@dataclass(frozen=True)
class Transport:
    """How heat is taken to flow.

    Attributes
    ----------
    temperatures_kelvin : tuple of float
    method : str
        ``rta``: each mode relaxes on its own; ``lbte``: full solution of the linear Boltzmann equation.
    wigner : bool
        With the part that tunnels between modes of near frequencies.
    isotopes : bool
        Scattering by the natural isotopes.
    boundary_micrometer : float or None
        Mean free path that boundaries leave.
    """

    temperatures_kelvin: tuple[float, ...]
    method: str = RTA
    wigner: bool = False
    isotopes: bool = False
    boundary_micrometer: float | None = None


@dataclass(frozen=True, eq=False)
class Conductivity:
    """Conductivity on one mesh; tensors have components xx, yy, zz, yz, xz, xy.

    In the relaxation time approximation modes without any linewidth are left out.

    Attributes
    ----------
    mesh : tuple of int
    kappa : ndarray, shape (n_temperatures, 6), W/mK
        The whole of it, by the method that was asked for.
    relaxation : ndarray, shape (n_temperatures, 6), W/mK
        In the relaxation time approximation, without tunneling.
    coherent : ndarray, shape (n_temperatures, 6), W/mK, or None
        The part of ``kappa`` that tunnels.
    modes : ndarray, shape (n_temperatures, n_points, n_modes, 6), W/mK
        What each mode of the irreducible wave vectors, with its images, adds to ``relaxation``.
    grid_points : ndarray of int, shape (n_points,)
    frequencies_thz : ndarray, shape (n_points, n_modes)
    velocities : ndarray, shape (n_points, n_modes, 3), Å THz
    linewidths_thz : ndarray, shape (n_temperatures, n_points, n_modes)
        Half width by three phonons.
    other_linewidths_thz : ndarray, shape (n_points, n_modes)
        Of isotopes and boundaries.
    """

    mesh: Mesh
    kappa: NDArray[np.float64]
    relaxation: NDArray[np.float64]
    coherent: NDArray[np.float64] | None
    modes: NDArray[np.float64]
    grid_points: NDArray[np.int64]
    frequencies_thz: NDArray[np.float64]
    velocities: NDArray[np.float64]
    linewidths_thz: NDArray[np.float64]
    other_linewidths_thz: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the three axes, shape (n_temperatures,), W/mK."""
        return np.asarray(self.kappa[:, :3].mean(axis=1))

    @property
    def n_without_decay(self) -> int:
        """Modes away from the zone center that are left out since they decay into nothing on the mesh."""
        whole = self.linewidths_thz.max(axis=0) + self.other_linewidths_thz
        return int((whole[self.grid_points != 0] <= LEAST_LINEWIDTH_THZ).sum())

    @property
    def mean_free_paths(self) -> NDArray[np.float64]:
        """Of modes, shape (n_temperatures, n_points, n_modes), Å; zero where there is no linewidth."""
        whole = self.linewidths_thz + self.other_linewidths_thz
        speeds = np.linalg.norm(self.velocities, axis=2)
        return np.asarray(np.divide(speeds, 4.0 * np.pi * whole, out=np.zeros_like(whole), where=whole > 0.0))


class ThreePhonons:
    """Phono3py with force constants of orders 2 and 3 on a supercell.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of order 3, a repetition of the cell that the user gave.
    harmonic : Torus, optional
        That of order 2; the same without it.
    effective : EffectiveForceConstants, optional
        Order 2 at a temperature, on that supercell, instead of that at rest.

    Raises
    ------
    UsageError
        If phono3py is missing, or the supercell is not such a repetition.
    """

    def __init__(
        self,
        force_field: ForceField,
        torus: Torus,
        harmonic: Torus | None = None,
        effective: EffectiveForceConstants | None = None,
    ) -> None:
        self.force_field, self.torus, self._effective = force_field, torus, effective
        self.harmonic = harmonic or torus
        cells = phonopy_cells(torus)
        if harmonic is not None:
            cells["phonon_supercell_matrix"] = phonopy_cells(harmonic)["supercell_matrix"]
        self.phono3py: Any = _phono3py()(**cells, log_level=0)
        dipoles = phonopy_dipoles(self.phono3py, force_field, torus)
        if dipoles is not None:
            self.phono3py.nac_params = dipoles

    def constants(self, order: int, parameters: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Compact force constants of the parameters, or of the posterior mean, eV/Å^order.

        Raises
        ------
        DataError
            If the force field has no such order.
        """
        if order == 2 and parameters is None and self._effective is not None:
            return self._effective.force_constants
        given = self.force_field.posterior.mean if parameters is None else parameters
        torus, supercell, first = self._cells(order)
        return compact_array(
            whole_force_constants(self.force_field.expansion, given, order, torus), supercell, first
        )

    def slopes(self, compact: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slopes by the parameters from those by compact force constants, shape (n_parameters,)."""
        torus = self._cells(compact.ndim // 2)[0]
        return force_constant_slopes(self.force_field.expansion, self.in_torus(compact), torus)

    def steps_of_order_2(self, n_samples: int, generator: np.random.Generator) -> list[NDArray[np.float64]]:
        """Changes of order 2 by samples of the posterior, not calibrated."""
        if self._effective is not None:
            return list(self._effective.of_data[:n_samples] - self._effective.force_constants)
        samples, rest = self.force_field.posterior.sample(n_samples, generator), self.constants(2)
        return [self.constants(2, sample) - rest for sample in samples]

    def sampling_steps(self, n_samples: int) -> list[NDArray[np.float64]]:
        """Changes of order 2 by samples of the statistical error of its average; none at rest."""
        if self._effective is None:
            return []
        return list(self._effective.of_monte_carlo[:n_samples] - self._effective.force_constants)

    def change_of_order_2(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """Change of order 2 at rest with a change of the parameters."""
        mean = self.force_field.posterior.mean
        return self.constants(2, mean + change) - self.constants(2, mean)

    def _cells(self, order: int) -> tuple[Torus, Any, NDArray[np.int64]]:
        """Torus and supercell of an order, and the atoms of the primitive cell in that."""
        if order == 2:
            primitive = self.phono3py.phonon_primitive
            return self.harmonic, self.phono3py.phonon_supercell, np.array(primitive.p2s_map)
        return self.torus, self.phono3py.supercell, np.array(self.phono3py.primitive.p2s_map)

    def in_torus(self, compact: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compact array of phono3py by the sites in cell 0 and the atoms of the torus."""
        order = compact.ndim // 2
        torus, supercell, firsts = self._cells(order)
        atoms = torus.match(supercell.positions)[0]
        sites, cells = np.divmod(atoms, torus.n_cells)
        found = np.empty_like(compact)
        for row, first in enumerate(firsts.tolist()):
            offsets = torus.offsets[cells] - torus.offsets[cells[first]]
            places = np.argsort(sites * torus.n_cells + torus.cell_index(offsets))
            found[sites[first]] = compact[row][np.ix_(*(places,) * (order - 1))]
        return found

    def prepare(self, second: NDArray[np.float64], third: NDArray[np.float64], mesh: Mesh) -> None:
        """Take force constants and a mesh."""
        phono3py = self.phono3py
        phono3py.mesh_numbers = list(mesh)
        phono3py.fc2, phono3py.fc3 = second, third
        phono3py.fc3_nonzero_indices = np.asarray(third.any(axis=(3, 4, 5)), dtype="byte")
        with _in_silence():
            phono3py.init_phph_interaction()

    def grid_points(self) -> NDArray[np.int64]:
        """Irreducible wave vectors of the mesh."""
        from phonopy.phonon.grid import get_ir_grid_points

        grid = self.phono3py.grid
        return np.asarray(grid.grg2bzg[get_ir_grid_points(grid)[0]], dtype=np.int64)

    def lowest_thz(self) -> float:
        """Lowest frequency on the mesh; imaginary ones are negative."""
        interaction = self.phono3py.phph_interaction
        interaction.run_phonon_solver()
        return float(interaction.phonons.frequencies.min())

    def solve(self, transport: Transport, points: NDArray[np.int64] | None = None) -> Conductivity:
        """Conductivity of what was prepared; in the relaxation time approximation of some wave vectors alone.

        Parameters
        ----------
        transport : Transport
        points : ndarray of int, optional
            Some of `grid_points`: the conductivity is the sum over all of them.
        """
        with _in_silence():
            self.phono3py.run_thermal_conductivity(
                is_LBTE=transport.method == LBTE,
                temperatures=list(transport.temperatures_kelvin),
                is_isotope=transport.isotopes,
                boundary_mfp=transport.boundary_micrometer,
                grid_points=points,
                transport_type="SMM19" if transport.wigner else None,
            )
        return _collected(self.phono3py, transport)


def joined(parts: Sequence[Conductivity]) -> Conductivity:
    """Sum of parts of the wave vectors of one mesh, in the relaxation time approximation."""
    first = parts[0]
    coherent = [each.coherent for each in parts if each.coherent is not None]
    return Conductivity(
        mesh=first.mesh,
        kappa=np.sum([each.kappa for each in parts], axis=0),
        relaxation=np.sum([each.relaxation for each in parts], axis=0),
        coherent=np.sum(coherent, axis=0) if coherent else None,
        modes=np.concatenate([each.modes for each in parts], axis=1),
        grid_points=np.concatenate([each.grid_points for each in parts]),
        frequencies_thz=np.concatenate([each.frequencies_thz for each in parts]),
        velocities=np.concatenate([each.velocities for each in parts]),
        linewidths_thz=np.concatenate([each.linewidths_thz for each in parts], axis=1),
        other_linewidths_thz=np.concatenate([each.other_linewidths_thz for each in parts]),
    )


def at_temperatures(parts: Sequence[Conductivity], reference: int) -> Conductivity:
    """Conductivities of one mesh at one temperature each; phonons are those of one of them."""
    coherent = [each.coherent for each in parts if each.coherent is not None]
    return replace(
        parts[reference],
        kappa=np.concatenate([each.kappa for each in parts]),
        relaxation=np.concatenate([each.relaxation for each in parts]),
        coherent=np.concatenate(coherent) if coherent else None,
        modes=np.concatenate([each.modes for each in parts]),
        linewidths_thz=np.concatenate([each.linewidths_thz for each in parts]),
    )


def _collected(phono3py: Any, transport: Transport) -> Conductivity:  # noqa: ANN401
    found = phono3py.thermal_conductivity
    mesh = tuple(int(n) for n in phono3py.mesh_numbers)
    n_grid = int(np.prod(mesh))
    points = np.asarray(found.grid_points, dtype=np.int64)
    linewidths = np.asarray(found.gamma)[0]
    others = np.zeros(linewidths.shape[1:])
    if found.gamma_isotope is not None:
        others = others + np.asarray(found.gamma_isotope)[0]
    velocities = np.asarray(found.group_velocities)
    if transport.boundary_micrometer is not None:
        metres = 1e-6 * transport.boundary_micrometer
        others = others + np.linalg.norm(velocities, axis=2) * 1e-10 / (4.0 * np.pi * metres)
    decays = (linewidths + others > LEAST_LINEWIDTH_THZ)[..., None]
    modes = np.where(decays, _of_modes(found, transport) / n_grid, 0.0)
    return Conductivity(
        mesh=(mesh[0], mesh[1], mesh[2]),
        **_tensors(found, transport, modes.sum(axis=(1, 2))),
        modes=modes,
        grid_points=points,
        frequencies_thz=np.asarray(phono3py.phph_interaction.phonons.frequencies)[points],
        velocities=velocities,
        linewidths_thz=linewidths,
        other_linewidths_thz=others,
    )


def _tensors(
    found: Any,  # noqa: ANN401
    transport: Transport,
    relaxation: NDArray[np.float64],
) -> dict[str, Any]:
    """Tensors by their names in `Conductivity`."""
    coherent = np.asarray(found.kappa_inter)[0] if transport.wigner else None
    if transport.method != RTA:
        kappa = np.asarray(found.kappa)[0]
    else:
        kappa = relaxation if coherent is None else relaxation + coherent
    return {"kappa": kappa, "relaxation": relaxation, "coherent": coherent}


def _of_modes(found: Any, transport: Transport) -> NDArray[np.float64]:  # noqa: ANN401
    """Of each mode, times the number of wave vectors of the mesh."""
    if transport.method == LBTE:
        modes = (found.solver if transport.wigner else found).mode_kappa_RTA
    elif transport.wigner:
        modes = np.einsum("stpiic->stpic", np.asarray(found.mode_kappa_matrix).real)
    else:
        modes = found.mode_kappa
    return np.array(modes[0], np.float64)


def _phono3py() -> Any:  # noqa: ANN401
    fix = "pip install 'phono3py>=4.10' (Python 3.11 or later)"
    try:
        from phono3py import Phono3py, __version__
    except ImportError as error:
        raise UsageError(f"conductivity needs phono3py: {error}", fix=fix) from error
    if tuple(int(part) for part in __version__.split(".")[:2]) < _LEAST_VERSION:
        raise UsageError(f"conductivity needs a newer phono3py than {__version__}", fix=fix)
    return Phono3py


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Without what phono3py prints, and its warnings."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
