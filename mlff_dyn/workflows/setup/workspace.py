"""The run directory: fixed names, and the crystal, supercell and basis that a configuration means."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.config.load import resolved_yaml
from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.formats.born_file import read_born
from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.ideal_cell import distance_from_given
from mlff_dyn.lattice.rotations import ROTATIONAL_SUM_RULES
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalBasis, LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.model_file import read_basis, read_model, write_basis
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.workflows.setup.magnetic_order import reference_moments
from mlff_dyn.workflows.setup.masses import check_masses, masses_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.model.long_range import LongRange

_MOST_CALCULATED_ATOMS = 10_000
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Workspace:
    """A configuration with everything that follows from it.

    Attributes
    ----------
    config : Config
    """

    config: Config

    @property
    def directory(self) -> Path:
        """Run directory."""
        return self.config.run_dir

    @property
    def basis_path(self) -> Path:
        """Basis of the force constants."""
        return self.directory / "basis.h5"

    @property
    def dataset_path(self) -> Path:
        """Labelled snapshots."""
        return self.directory / "dataset.extxyz"

    @property
    def model_path(self) -> Path:
        """Trained force field."""
        return self.directory / "model.h5"

    @property
    def journal_path(self) -> Path:
        """Decisions of the training."""
        return self.directory / "journal.jsonl"

    @property
    def calculations_path(self) -> Path:
        """Directories of the reference calculations."""
        return self.directory / "calculations"

    @property
    def trajectories_path(self) -> Path:
        """Directory of exploring trajectories that go on through refits."""
        return self.directory / "exploration"

    @cached_property
    def crystal(self) -> Crystal:
        """Primitive cell and space group of the reference structure.

        Raises
        ------
        DataError
            If the structure file cannot be used.
        ConfigError
            If a mass is given for an element that is not there.
        """
        structure = self.config.structure
        atoms = read_structure(structure.file)
        crystal = build_crystal(
            atoms.cell.array,
            atoms.positions,
            atoms.numbers,
            masses_of(atoms, structure.masses_amu),
            symprec=structure.symprec_angstrom,
            magnetic_moments=reference_moments(atoms, structure.magnetic_moments),
            periodic=tuple(
                (atoms.pbc if structure.periodic is None else np.array(structure.periodic)).tolist()
            ),
        )
        check_masses(crystal)
        return crystal

    @property
    def rotational_sum_rules(self) -> tuple[str, ...]:
        """Rules of order 2 that are imposed."""
        given = self.config.expansion.rotational_sum_rules
        if given is not None:
            return given
        return () if all(self.crystal.periodic) else tuple(ROTATIONAL_SUM_RULES)

    @property
    def resolved(self) -> Config:
        """Configuration with what follows from the axes that are periodic in the structure file."""
        config, periodic = self.config, self.crystal.periodic
        rules = {"rotational_sum_rules": self.rotational_sum_rules}
        return config.model_copy(
            update={
                "structure": config.structure.model_copy(update={"periodic": periodic}),
                "expansion": config.expansion.model_copy(update=rules),
            }
        )

    @cached_property
    def training_torus(self) -> Torus:
        """Supercell of the reference calculations.

        Raises
        ------
        ConfigError
            If no calculation can hold it.
        """
        torus = self.supercell(None)
        if torus.n_atoms > _MOST_CALCULATED_ATOMS:
            raise ConfigError(
                f"structure.supercell has {torus.n_atoms} atoms; no calculation of more than "
                f"{_MOST_CALCULATED_ATOMS} is of use here",
                fix="use 50 to 300 atoms; md.supercell may be much larger",
            )
        return torus

    @cached_property
    def expansion(self) -> Expansion:
        """The basis with its kernel tables; read from the run directory if it is there and fits.

        Raises
        ------
        BasisError
            If the cutoffs do not fit the training supercell, or the local part does not fit the crystal.
        """
        local = self.local
        return Expansion(self._stored_basis() or self.build_basis(), self.long_range, local)

    @property
    def local(self) -> LocalBasis | None:
        """Functions of distances and angles; None where the configuration has none.

        Raises
        ------
        BasisError
            If they are too many, or reach no neighbor.
        """
        chosen = self.config.expansion.local
        if chosen is None:
            return None
        settings = LocalSettings(**chosen.model_dump())
        is_at_rest = bool(self.rotational_sum_rules)
        return local_basis(self.crystal, settings, training=self.training_torus, is_at_rest=is_at_rest)

    @cached_property
    def long_range(self) -> LongRange | None:
        """Dipoles of the crystal; None without a BORN file.

        Raises
        ------
        ConfigError
            If the file cannot be used, or rotational sum rules are asked for besides.
        """
        expansion = self.config.expansion
        if expansion.born_file is None:
            return None
        if not all(self.crystal.periodic):
            raise ConfigError(
                "expansion.born_file: dipoles are known in three dimensions only, structure.periodic has two",
                fix="leave expansion.born_file out for a sheet or a wire",
            )
        if expansion.rotational_sum_rules:
            raise ConfigError(
                "expansion.rotational_sum_rules do not hold for the short-range part alone, which is what "
                "expansion.born_file leaves to the fit",
                fix="leave out one of the two",
            )
        return read_born(expansion.born_file, self.crystal)

    def supercell(self, supercell: Any) -> Torus:  # noqa: ANN401
        """Torus of a supercell of the configuration; None means the training cell."""
        return input_supercell(
            self.crystal, self.config.structure.supercell if supercell is None else supercell
        )

    def build_basis(self) -> ForceConstantBasis:
        """Build the basis anew."""
        expansion = self.config.expansion
        return build_basis(
            self.crystal,
            expansion.cutoffs_angstrom,
            self.training_torus,
            rotational_sum_rules=self.rotational_sum_rules,
        )

    def write_basis(self) -> None:
        """Write the basis unless the same one is there."""
        if self._stored_basis() is None:
            write_basis(self.basis_path, self.expansion.basis, {"identity": self.basis_identity})

    @cached_property
    def basis_identity(self) -> str:
        """Digest of all that the basis is built from, and of the dipoles and the local part beside it."""
        structure, expansion = self.config.structure, self.config.expansion
        crystal = self.crystal
        arrays = (crystal.input_lattice, crystal.input_positions, crystal.input_numbers, crystal.input_masses)
        expanded = expansion.deciding({"born_file", *(["local"] if expansion.local is None else [])})
        expanded["rotational_sum_rules"] = self.rotational_sum_rules
        if not all(crystal.periodic):
            expanded["periodic"] = crystal.periodic
        dipoles = [] if self.long_range is None else [asdict(self.long_range)]
        return digest(
            [
                *(np.asarray(a).tolist() for a in arrays),
                *(["ideal"] if distance_from_given(crystal) > 0.0 else []),
                np.asarray(structure.supercell).tolist(),
                structure.symprec_angstrom,
                expanded,
                *([] if crystal.magnetic_moments is None else [crystal.magnetic_moments.tolist()]),
                *({name: np.asarray(value).tolist() for name, value in each.items()} for each in dipoles),
            ]
        )

    def read_model(self) -> ForceField:
        """Read the trained force field.

        Raises
        ------
        DataError
            If there is none, or it was trained for another crystal or expansion.
        """
        if not self.model_path.exists():
            raise DataError(f"there is no trained model in {self.directory}", fix="run mlff-dyn train first")
        force_field, metadata = read_model(self.model_path)
        if metadata.get("identity") != self.basis_identity:
            raise DataError(
                f"{self.model_path} was trained for another structure, supercell or expansion",
                fix="run mlff-dyn train again, or choose its own run_dir",
            )
        return force_field

    def write_configuration(self) -> None:
        """Write the configuration with all its defaults beside the results."""
        atomic_write_text(self.directory / "config.resolved.yaml", resolved_yaml(self.resolved))

    def _stored_basis(self) -> ForceConstantBasis | None:
        if not self.basis_path.exists():
            return None
        try:
            basis, metadata = read_basis(self.basis_path)
        except DataError as error:
            _logger.warning("%s; the basis is built again", error.message)
            return None
        return basis if metadata.get("identity") == self.basis_identity else None
