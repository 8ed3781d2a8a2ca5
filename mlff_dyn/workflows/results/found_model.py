"""The model that results are calculated from: that of a configuration, of a run directory, or a bare file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.config.schema import MdConfig
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.source import file_digest
from mlff_dyn.workflows.export import MODEL_NAME, training_supercell
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.trained_model import ANSWER_NAME, training_doubt

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True, eq=False)
class FoundModel:
    """A force field and what is known of it.

    Attributes
    ----------
    path : Path
    force_field : ForceField
    training_torus : Torus
        Supercell of the reference calculations.
    doubt : str or None
        Why it is not to be relied on.
    config : Config or None
        None for a bare file or run directory: defaults hold.
    """

    path: Path
    force_field: ForceField
    training_torus: Torus
    doubt: str | None
    config: Config | None

    @property
    def seed(self) -> int:
        """Seed of samples and trajectories."""
        return 1 if self.config is None else self.config.seed

    @property
    def timestep_femtoseconds(self) -> float:
        """The longest time step to be taken."""
        if self.config is None:
            return float(MdConfig.model_fields["timestep_femtoseconds"].default)
        return self.config.md.timestep_femtoseconds

    @property
    def warnings(self) -> list[str]:
        """What an answer says of the training."""
        return [] if self.doubt is None else [f"{self.path}: {self.doubt}"]

    @property
    def digest(self) -> str:
        """Digest of the file."""
        return file_digest(self.path)

    def supercell(self, given: Any) -> Torus:  # noqa: ANN401
        """Torus of a supercell of the configuration; None means the training cell.

        Raises
        ------
        UsageError
            If it is not a repetition of the input cell.
        """
        return self.training_torus if given is None else input_supercell(self.training_torus.crystal, given)


def find_model(source: Path | Config) -> FoundModel:
    """Find a model, also one whose training did not reach its limit.

    Parameters
    ----------
    source : Path or Config
        Model file, its run directory, or the configuration that it must be of.

    Raises
    ------
    DataError
        If there is no model, or it is of another configuration.
    """
    if not isinstance(source, Path):
        workspace = Workspace(source)
        force_field, path = workspace.read_model(), workspace.model_path
        doubt = training_doubt(path, source)
        return FoundModel(path, force_field, workspace.supercell(None), doubt, source)
    path = source / MODEL_NAME if source.is_dir() else source
    force_field, metadata = read_model(path)
    doubt = training_doubt(path, None) if path.with_name(ANSWER_NAME).exists() else None
    return FoundModel(path, force_field, training_supercell(force_field, metadata, path), doubt, None)
