"""What a trajectory depends on besides its length."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.workflows.setup.workspace import Workspace

_BAROSTAT_KEYS = {"pressure_gigapascal", "barostat_shape", "barostat_interval_steps", "strain_limit"}
_STORAGE_KEYS = ("store", "store_precision")


def inputs_of_trajectory(workspace: Workspace, torus: Torus, temperature_kelvin: float) -> dict[str, Any]:
    """Return plain values; their digest is the identity of a trajectory.

    Parameters
    ----------
    workspace : Workspace
        With its model.
    torus : Torus
        Supercell of the dynamics.
    temperature_kelvin : float
    """
    md = workspace.config.md
    unused = set() if md.ensemble == "npt" else _BAROSTAT_KEYS
    # Not in the digest when they are as in the time before there was a choice.
    usual = {name for name in _STORAGE_KEYS if getattr(md, name) == type(md).model_fields[name].default}
    excluded = {"temperatures_kelvin", "n_steps", "n_threads", *unused, *usual}
    return {
        "model": hashlib.sha256(workspace.model_path.read_bytes()).hexdigest(),
        "supercell": torus.matrix.tolist(),
        "temperature_kelvin": temperature_kelvin,
        "seed": workspace.config.seed,
        "md": md.deciding(excluded),
    }
