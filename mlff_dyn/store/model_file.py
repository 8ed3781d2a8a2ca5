"""Bases and force fields on disk: HDF5 with a format name and a version, nothing that can run."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.kernels.local_tables import LocalTables
from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms
from mlff_dyn.lattice.basis import ClusterClasses, ForceConstantBasis
from mlff_dyn.lattice.crystal import Crystal
from mlff_dyn.local.basis import NUMBERS_OF_BODIES, LocalBasis, LocalSettings
from mlff_dyn.model.fitting.prior_guess import PriorGuessSummary
from mlff_dyn.model.force_field import ForceField, ScalarModel, TrainingSummary
from mlff_dyn.model.long_range import LongRange
from mlff_dyn.regression.data.conditions import RowKind
from mlff_dyn.regression.fit.evidence import Hyperparameters
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.fit.posterior import Posterior
from mlff_dyn.store.sealed_file import SealedFormat, read_array, read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import h5py
    from numpy.typing import NDArray

BASIS_FORMAT = SealedFormat("mlff-dyn basis", version=3, sealed_since=3)
MODEL_FORMAT = SealedFormat("mlff-dyn model", version=5, sealed_since=3, fix="run mlff-dyn train again")
_SCALARS = ("energy", "stress")
_NEAR_REST = "near_rest"
_WEIGHT_POWER_OF_OLDER_FILES = 0.2
"""Of all fits before model files said which."""

T = TypeVar("T")


def write_basis(path: Path, basis: ForceConstantBasis, metadata: Mapping[str, Any]) -> None:
    """Write a basis; ``metadata`` (plain values) says what it was built from."""
    with write_sealed(path) as file:
        _stamp(file, BASIS_FORMAT, metadata)
        _write_basis_group(file, basis)


def read_basis(path: Path) -> tuple[ForceConstantBasis, dict[str, Any]]:
    """Read a basis and its metadata.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format.
    """
    return _read_with_metadata(path, BASIS_FORMAT, _read_basis_group)


def write_model(path: Path, force_field: ForceField, metadata: Mapping[str, Any]) -> None:
    """Write a force field; ``metadata`` (plain values) says how it was trained."""
    with write_sealed(path) as file:
        _stamp(file, MODEL_FORMAT, metadata)
        _write_basis_group(file, force_field.basis)
        _write_fit(file, force_field)
        if force_field.near_rest is not None:
            _write_fit(file.create_group(_NEAR_REST), force_field.near_rest)
        if force_field.prior_guess is not None:
            _write_fields(file.create_group("transfer"), force_field.prior_guess)
        if force_field.long_range is not None:
            _write_fields(file.create_group("long_range"), force_field.long_range)
        if force_field.local is not None:
            _write_local(file.create_group("local"), force_field.local)


def _write_fit(parent: h5py.Group, force_field: ForceField) -> None:
    """What fits of one expansion to different data do not share."""
    posterior = force_field.posterior
    group = parent.create_group("posterior")
    group["mean"] = posterior.mean
    group["covariance_factor"] = posterior.covariance_factor
    group["prior_values"] = posterior.hyperparameters.prior_values
    _write_fields(group.create_group("noise"), posterior.noise)
    for kind, noise in posterior.hyperparameters.other_noise.items():
        _write_fields(group.create_group(f"noise_{RowKind(kind).name.lower()}"), noise)
    for name in _SCALARS:
        scalar = getattr(force_field, name)
        if scalar is not None:
            _write_fields(group.create_group(name), scalar)
    if force_field.site_scales is not None:
        group["site_scales"] = force_field.site_scales
    group.attrs["log_evidence"] = posterior.log_evidence
    group.attrs["n_targets"] = posterior.n_targets
    group.attrs["weight_power"] = posterior.hyperparameters.weight_power
    group.attrs["calibration"] = force_field.calibration
    _write_fields(parent.create_group("training"), force_field.training)


def read_model(path: Path) -> tuple[ForceField, dict[str, Any]]:
    """Read a force field and its metadata.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format.
    """
    return _read_with_metadata(path, MODEL_FORMAT, _read_model_group)


def _read_model_group(file: h5py.File) -> ForceField:
    force_field = ForceField(
        basis=_read_basis_group(file),
        prior_guess=_read_fields(file["transfer"], PriorGuessSummary) if "transfer" in file else None,
        long_range=_read_fields(file["long_range"], LongRange) if "long_range" in file else None,
        local=_read_local(file["local"]) if "local" in file else None,
        **_read_fit(file),
    )
    if _NEAR_REST not in file:
        return force_field
    return replace(force_field, near_rest=replace(force_field, **_read_fit(file[_NEAR_REST])))


def _read_fit(parent: h5py.Group) -> dict[str, Any]:
    group = parent["posterior"]
    attrs = group.attrs
    posterior = Posterior(
        mean=read_array(group["mean"]),
        covariance_factor=read_array(group["covariance_factor"]),
        hyperparameters=Hyperparameters(
            _read_fields(group["noise"], NoiseModel),
            read_array(group["prior_values"]),
            {
                int(kind): _read_fields(group[f"noise_{kind.name.lower()}"], NoiseModel)
                for kind in RowKind
                if f"noise_{kind.name.lower()}" in group
            },
            float(attrs.get("weight_power", _WEIGHT_POWER_OF_OLDER_FILES)),
        ),
        log_evidence=float(attrs["log_evidence"]),
        n_targets=int(attrs["n_targets"]),
    )
    return {
        "posterior": posterior,
        "calibration": float(attrs["calibration"]),
        "training": _read_fields(parent["training"], TrainingSummary),
        "site_scales": read_array(group["site_scales"]) if "site_scales" in group else None,
        **{name: _read_fields(group[name], ScalarModel) if name in group else None for name in _SCALARS},
    }


def _write_local(group: h5py.Group, local: LocalBasis) -> None:
    _write_fields(group.create_group("settings"), local.settings)
    _write_fields(group.create_group("tables"), local.tables)
    _write_fields(group, local, without=("settings", "tables"))


def _read_local(group: h5py.Group) -> LocalBasis:
    settings = _read_fields(group["settings"], LocalSettings)
    bodies, radial_indices = read_array(group["bodies"]), read_array(group["radial_indices"])
    of_older_files = {}
    if "quadruples" not in group["tables"]:
        settings = replace(settings, n_bodies=3)
        radial_indices = _of_three_channels(radial_indices, bodies)
        of_older_files["quadruples"] = np.zeros((0, 8), np.int32)
    return LocalBasis(
        settings=settings,
        numbers=read_array(group["numbers"]),
        largest_displacement=float(group.attrs["largest_displacement"]),
        tables=_read_fields(group["tables"], LocalTables, of_older_files),
        bodies=bodies,
        radial_indices=radial_indices,
        degrees=read_array(group["degrees"]),
        **{name: read_array(group[name]) for name in ("structure", "shared_on") if name in group},
    )


def _of_three_channels(numbers: NDArray[np.int64], bodies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Radial functions of three channels from those of two, the same twice for functions of two bodies."""
    check_shape("bodies", bodies, (None,))
    check_shape("radial_indices", numbers, (len(bodies), 2))
    second = np.where(bodies == min(NUMBERS_OF_BODIES) - 1, -1, numbers[:, 1])
    return np.stack([numbers[:, 0], second, np.full(len(bodies), -1)], axis=1)


def _stamp(file: h5py.File, kind: SealedFormat, metadata: Mapping[str, Any]) -> None:
    kind.stamp(file)
    file.attrs["metadata"] = json.dumps(metadata, sort_keys=True)


def _read_with_metadata(
    path: Path, kind: SealedFormat, reader: Callable[[h5py.File], T]
) -> tuple[T, dict[str, Any]]:
    return read_sealed(Path(path), kind, lambda file: (reader(file), json.loads(file.attrs["metadata"])))


def _write_basis_group(file: h5py.File, basis: ForceConstantBasis) -> None:
    _write_fields(file.create_group("crystal"), basis.crystal)
    group = file.create_group("basis")
    group["slots"] = basis.polynomial.slots
    for terms, null, classes in zip(basis.polynomial.orders, basis.nullspaces, basis.classes, strict=True):
        order = group.create_group(f"order_{terms.order}")
        _write_fields(order, terms)
        order["nullspace"] = null
        _write_fields(order.create_group("classes"), classes)


def _read_basis_group(file: h5py.File) -> ForceConstantBasis:
    crystal = _read_fields(file["crystal"], Crystal)
    group = file["basis"]
    names = sorted((name for name in group if name.startswith("order_")), key=lambda name: int(name[6:]))
    terms = tuple(_read_fields(group[name], OrderTerms) for name in names)
    return ForceConstantBasis(
        crystal=crystal,
        polynomial=CellPolynomial(n_sites=crystal.n_sites, slots=read_array(group["slots"]), orders=terms),
        nullspaces=tuple(read_array(group[name]["nullspace"]) for name in names),
        orders=tuple(t.order for t in terms),
        classes=tuple(_read_fields(group[name]["classes"], ClusterClasses) for name in names),
    )


def _write_fields(group: h5py.Group, record: Any, without: tuple[str, ...] = ()) -> None:  # noqa: ANN401
    """Arrays of a dataclass as data sets, plain values as attributes; None is left out."""
    for field in fields(record):
        if field.name in without:
            continue
        value = getattr(record, field.name)
        if field.metadata.get("omit_default") and value == field.default:
            continue
        if isinstance(value, np.ndarray):
            group[field.name] = value
        elif value is not None:
            group.attrs[field.name] = value


def _read_fields(group: h5py.Group, kind: type[T], of_older_files: Mapping[str, Any] | None = None) -> T:
    values: dict[str, Any] = dict(of_older_files or {})
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in values:
            continue
        if field.name in group:
            values[field.name] = read_array(group[field.name])
        else:
            value = group.attrs.get(field.name, field.default)
            is_unknown = value is MISSING or (isinstance(value, float) and np.isnan(value))
            if is_unknown and str(field.type).endswith("| None"):
                value = None
            if value is MISSING:
                raise KeyError(field.name)
            value = value.item() if isinstance(value, np.generic) else value
            _check_plain(f"{group.name}.{field.name}", value, str(field.type))
            values[field.name] = value
    return kind(**values)


def _check_plain(name: str, value: object, annotation: str) -> None:
    """Refuse a plain value of another type, and numbers that are none.

    Raises
    ------
    DataError
    """
    kind = annotation.removesuffix(" | None")
    known = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}.get(kind)
    is_missing = value is None and kind != annotation
    if known is None or is_missing:
        return
    is_sound = isinstance(value, known) and isinstance(value, bool) == (kind == "bool")
    if not is_sound or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(f"{name} is {value!r}, no {kind}", fix="write the file again")
