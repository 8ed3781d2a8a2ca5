"""VASP: one self-consistent calculation a structure, with forces and stress."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.engines.base import EngineResult, check_keys
from mlff_dyn.engines.command import CommandRunner, shell_line
from mlff_dyn.engines.profile import checked_mapping, checked_texts, checked_timeout_seconds
from mlff_dyn.engines.vasp.amendments import amend
from mlff_dyn.engines.vasp.cross_check import check_outcar, check_structure
from mlff_dyn.engines.vasp.failures import Failure, find_failure
from mlff_dyn.engines.vasp.incar import WHERE, checked_incar, format_incar, plain_texts, without_machine
from mlff_dyn.engines.vasp.kpoints import KPoints, Mesh, reciprocal_lengths
from mlff_dyn.engines.vasp.poscar import format_poscar, grouped_order, read_poscar, species_of
from mlff_dyn.engines.vasp.potcar import (
    DEFAULT_FOLDER,
    VDW_NAME,
    Potential,
    find_potentials,
    find_vdw_kernel,
    library_folder,
)
from mlff_dyn.engines.vasp.program import build_for, command_words, find_programs
from mlff_dyn.engines.vasp.reuse import checked_reuse, density_name, keep_density, start_from_density
from mlff_dyn.engines.vasp.settings import settings_digest
from mlff_dyn.engines.vasp.spin_tags import with_moments
from mlff_dyn.engines.vasp.static_result import read_static
from mlff_dyn.errors import ConfigError, DataError, EngineError
from mlff_dyn.store.json_file import read_json, write_json
from mlff_dyn.store.source import Source

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

RECORD_NAME = "vasp.json"
RECORD_FORMAT = "mlff-dyn VASP input"
VERSION = 1
STDOUT_NAME = "vasp.out"
STDERR_NAME = "vasp.err"
RESULT_NAME = "vasprun.xml"

_PARAMETERS = ("incar", "kpoints", "potcar_folder", "pseudopotentials")
_PROFILE = ("command", "pseudo_dir", "environment", "timeout_minutes", "reuse")
_NOT_KEPT = {
    "POTCAR": "",
    "TMPCAR": "",
    VDW_NAME: "",
    "CHG": "LCHARG",
    "CHGCAR": "LCHARG",
    "WAVECAR": "LWAVE",
    "vaspwave.h5": "LWAVE",
}
"""Files that are removed after a calculation, and the tag that keeps them."""
_READ_FROM_END = 400_000
_TETRAHEDRA = (-4, -5)
_MOST_OF_A_MESH = 4
_AGAIN = "run the same command again, it calculates anew"

_logger = logging.getLogger(__name__)


class VaspEngine:
    """Engine of kind ``vasp``.

    Parameters
    ----------
    parameters : mapping
        ``incar``: tags and values, at least ENCUT; ``kpoints``: gamma, three integers, {grid, shift} or
        {spacing_per_angstrom}; ``potcar_folder``: folder of the functional in the library;
        ``pseudopotentials``: element to name, such as {Sn: Sn_d}.
    profile : mapping
        ``command``: VASP with its launcher, no shell, ``{program}`` for the build that fits; ``pseudo_dir``
        (or the environment variable VASP_PP_PATH); ``environment``: variables added for the run;
        ``timeout_minutes``; ``reuse``: none, or charge-density to start from that of an earlier calculation.

    Raises
    ------
    ConfigError
        If a key is unknown, missing, of the wrong type, or one that the engine sets itself.
    EngineError
        If a POTCAR is missing or cannot be read.
    """

    kind = "vasp"

    def __init__(self, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        check_keys("engine.parameters", parameters, _PARAMETERS)
        check_keys("engine.profile", profile, _PROFILE)
        self._incar = checked_incar(checked_mapping(parameters, "engine.parameters", "incar"))
        self._kpoints = KPoints.of_config(parameters.get("kpoints"))
        self._reuses = checked_reuse(profile.get("reuse"))
        self._command = command_words(profile.get("command"), self._build())
        self._environment = checked_texts(profile, "engine.profile", "environment")
        self._runner = CommandRunner(self._environment, checked_timeout_seconds(profile))
        library = library_folder(profile.get("pseudo_dir"))
        folder = str(parameters.get("potcar_folder", DEFAULT_FOLDER))
        names = checked_texts(parameters, "engine.parameters", "pseudopotentials")
        self._potentials = find_potentials(library, folder, names)
        self._vdw_kernel = find_vdw_kernel(library, folder) if self._incar.tags.get("LUSE_VDW") else None
        titles = {element: potential.title for element, potential in sorted(self._potentials.items())}
        self.parameters: Mapping[str, Any] = {**self.physics(parameters), "titles": titles}
        _check_cutoff(self._incar.tags.get("ENCUT"), self._potentials)

    @staticmethod
    def physics(parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters without tags that only say how it is calculated and what is written."""
        physics = dict(parameters)
        if isinstance(parameters.get("incar"), Mapping):
            physics["incar"] = without_machine(parameters["incar"])
        return physics

    def settings_identity(self, atoms: Atoms) -> str:
        """Return the digest of the settings that a vasprun.xml of these atoms would have."""
        species, order = species_of(atoms.numbers), grouped_order(atoms.numbers)
        self._check_species(species)
        tags = with_moments(self._incar.for_species(species), atoms, order)
        n_valence = sum(self._potentials[symbol].n_valence for symbol in atoms.symbols)
        mesh = self._kpoints.of_cell(atoms.cell.array, atoms.pbc)
        return settings_digest(
            plain_texts(tags),
            [self._potentials[element].title for element in species],
            kpoints_times_atoms=mesh.n_points * len(atoms),
            charge=tags.get("NELECT", n_valence) - n_valence,
        )

    def write_input(self, directory: Path, atoms: Atoms) -> None:
        """Write INCAR, KPOINTS, POSCAR and POTCAR, and the order of atoms, after checking the program."""
        species, order = species_of(atoms.numbers), grouped_order(atoms.numbers)
        self._check_species(species)
        mesh = self._kpoints.of_cell(atoms.cell.array, atoms.pbc)
        tags = with_moments(self._incar.for_species(species), atoms, order)
        _check_tetrahedra(tags, mesh)
        find_programs(self._command, self._environment)
        density = density_name(atoms, order, tags) if self._reuses else None
        if density is not None:
            tags |= {"LCHARG": True, "ICHARG": 1 if start_from_density(directory, density) else 2}
        potentials = [self._potentials[element] for element in species]
        for name, text in (
            ("INCAR", format_incar(tags)),
            ("KPOINTS", mesh.to_text()),
            ("POSCAR", format_poscar(atoms, order)),
            ("POTCAR", "".join(potential.text for potential in potentials)),
        ):
            (directory / name).write_text(text, encoding="utf-8")
        if self._vdw_kernel is not None:
            (directory / VDW_NAME).symlink_to(self._vdw_kernel)
        record = {
            "order": order,
            "density": density,
            "periodic": atoms.pbc,
            "potentials": [potential.to_json() for potential in potentials],
        }
        write_json(directory / RECORD_NAME, record, format_name=RECORD_FORMAT, version=VERSION)

    def read_input(self, directory: Path) -> Atoms:
        """Read the structure of the POSCAR, atoms in the order that they were given in."""
        record = _read_record(directory)
        atoms = read_poscar(directory / "POSCAR", _order_of(record))
        atoms.pbc = record["periodic"]
        return atoms

    def check(self, directory: Path) -> dict[str, str]:
        """Return program, pseudopotentials, cutoff, and k-points with their distance."""
        atoms = self.read_input(directory)
        mesh = self._kpoints.of_cell(atoms.cell.array, atoms.pbc)
        spacing = reciprocal_lengths(atoms.cell.array) / mesh.grid
        potentials = [self._potentials[element] for element in species_of(atoms.numbers)]
        n_electrons = sum(self._potentials[symbol].n_valence for symbol in atoms.symbols)
        return {
            "program": " ".join(find_programs(self._command, self._environment)),
            "pseudopotentials": ", ".join(potential.title for potential in potentials),
            "cutoff": f"{self._incar.tags['ENCUT']:g} eV, ENMAX {max(p.enmax_ev for p in potentials):g} eV",
            "electrons": f"{n_electrons:g}",
            "k-points": f"{' '.join(map(str, mesh.grid))}, not more than {spacing.max():.2f} 1/Å apart",
        }

    def run(self, directory: Path) -> None:
        """Run VASP; POTCAR, wave functions and densities are removed when it ends well."""
        record = _read_record(directory)
        status = self._runner.run(self._command, directory, stdout=STDOUT_NAME, stderr=STDERR_NAME)
        try:
            self.read_result(directory)
        except EngineError as error:
            if status == 0 or "exit status" in error.message:
                raise
            raise EngineError(f"{error.message} (exit status {status})", fix=error.fix) from error
        if record["density"] is not None:
            keep_density(directory, record["density"])
        for name, tag in _NOT_KEPT.items():
            if not self._incar.tags.get(tag):
                (directory / name).unlink(missing_ok=True)

    def command_line(self) -> str:
        """Return the command that runs VASP."""
        return shell_line(self._command, self._environment, stdout=STDOUT_NAME, stderr=STDERR_NAME)

    def read_result(self, directory: Path) -> EngineResult:
        """Read vasprun.xml, check it against the input beside it, and bring the atoms into their order."""
        record = _read_record(directory)
        order = _order_of(record)
        try:
            result = _read_own(directory, len(order))
        except (EngineError, DataError) as error:
            failure = _failure_of(directory)
            if failure is None:
                raise EngineError(error.message, fix=error.fix) from error
            message = f"{directory}: VASP failed: {failure.reason} ({error.message})"
            raise EngineError(message, fix=failure.fix) from error
        labels = ", ".join(f"{each['title']} sha256:{each['digest']}" for each in record["potentials"])
        return _in_order(result, np.argsort(order), labels)

    def amend_input(self, directory: Path, attempt: int) -> str | None:
        """Change the electronic steps after an attempt that did not converge; None for other failures."""
        failure = _failure_of(directory)
        if failure is not None and not failure.is_amendable:
            return None
        if failure is None and not _is_unconverged(directory):
            return None
        return amend(directory, directory / "INCAR", attempt)

    def settle(self, directory: Path) -> None:
        """Wait for a VASP that outlived the command that started it."""
        self._runner.settle(directory)

    def stop(self) -> None:
        """End all running VASP."""
        self._runner.stop()

    def _build(self) -> str:
        mesh, has_spin_orbit = self._kpoints.mesh, bool(self._incar.tags.get("LSORBIT"))
        return build_for(is_gamma=mesh is not None and mesh.is_gamma, has_spin_orbit=has_spin_orbit)

    def _check_species(self, species: tuple[str, ...]) -> None:
        for element in species:
            if element not in self._potentials:
                raise ConfigError(
                    f"engine.parameters.pseudopotentials: no pseudopotential for {element}",
                    fix=f"add {element}: NAME, the name of its folder in the library, such as {element}",
                )


def _check_cutoff(encut_ev: float | None, potentials: Mapping[str, Potential]) -> None:
    """Refuse a cutoff that a POTCAR is not made for; warn below the one that it asks for."""
    if not potentials:
        return
    highest = max(potentials.values(), key=lambda potential: potential.enmax_ev)
    asks = f"{highest.title} asks for ENMAX = {highest.enmax_ev:g} eV"
    if encut_ev is None:
        raise ConfigError(
            f"{WHERE}.ENCUT: is required; {asks}", fix=f"add ENCUT: {1.3 * highest.enmax_ev:.0f}, and test it"
        )
    if encut_ev < highest.enmin_ev:
        raise ConfigError(
            f"{WHERE}.ENCUT: {encut_ev:g} eV is below ENMIN = {highest.enmin_ev:g} eV of {highest.title}",
            fix=f"raise it; {asks}",
        )
    if encut_ev < highest.enmax_ev:
        _logger.warning("%s.ENCUT: %g eV, but %s", WHERE, encut_ev, asks)


def _check_tetrahedra(tags: Mapping[str, Any], mesh: Mesh) -> None:
    if tags["ISMEAR"] in _TETRAHEDRA and mesh.n_points < _MOST_OF_A_MESH:
        raise ConfigError(
            f"{WHERE}.ISMEAR: {tags['ISMEAR']} (tetrahedra) needs 4 k-points, the mesh has {mesh.n_points}",
            fix="set ISMEAR: 0 and SIGMA: 0.05",
        )


def _read_record(directory: Path) -> dict[str, Any]:
    try:
        return read_json(directory / RECORD_NAME, format_name=RECORD_FORMAT, version=VERSION)
    except DataError as error:
        raise EngineError(error.message, fix=_AGAIN) from error


def _order_of(record: Mapping[str, Any]) -> NDArray[np.intp]:
    return np.array(record["order"], dtype=np.intp)


def _read_own(directory: Path, n_atoms: int) -> EngineResult:
    """Result of a calculation that belongs to its input, atoms in the order of the POSCAR."""
    path = directory / RESULT_NAME
    if not path.is_file():
        raise EngineError(f"{path} does not exist", fix=_AGAIN)
    source = Source(path)
    result = read_static(source)
    check_structure(source, read_poscar(directory / "POSCAR", np.arange(n_atoms)))
    check_outcar(source, result)
    return result


def _in_order(result: EngineResult, place: NDArray[np.intp], labels: str) -> EngineResult:
    """Result with the atom of each given place."""
    state = result.magnetic_state
    if state is not None and state.moments is not None:
        state = replace(state, moments=state.moments[place])
    return replace(
        result,
        forces_ev_per_angstrom=result.forces_ev_per_angstrom[place],
        magnetic_state=state,
        origin={**result.origin, "pseudopotentials": labels},
    )


def _failure_of(directory: Path) -> Failure | None:
    """What VASP says in its streams and at the end of OUTCAR."""
    return find_failure("\n".join(_end(directory / name) for name in (STDERR_NAME, STDOUT_NAME, "OUTCAR")))


def _is_unconverged(directory: Path) -> bool:
    """Whether the last run used up its electronic steps."""
    try:
        read_static(Source(directory / RESULT_NAME))
    except (EngineError, DataError) as error:
        return "converge" in error.message
    return False


def _end(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _READ_FROM_END))
        return file.read().decode(errors="replace")
