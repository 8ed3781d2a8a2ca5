"""Parts of an answer that are kept on disk as soon as they are there, so that a killed command loses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import DataError
from mlff_dyn.store.json_file import read_json, to_plain, write_json
from mlff_dyn.workflows.setup.workspace import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FORMAT, _VERSION = "mlff-dyn thermodynamics part", 1


@dataclass(frozen=True)
class KeptParts:
    """Plain values by name, each with a digest of all that it depends on.

    Attributes
    ----------
    directory : Path
    common : str
        Digest of what all parts depend on.
    """

    directory: Path
    common: str

    def path(self, name: str) -> Path:
        """File of a part."""
        return self.directory / f"{name}.json"

    def remove(self) -> None:
        """Remove all parts."""
        for path in self.directory.glob("*.json"):
            path.unlink()

    def get(self, name: str, inputs: object, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the part, from disk where nothing it depends on has changed.

        Parameters
        ----------
        name : str
        inputs : object
            Plain values that this part depends on.
        make : callable
            Returns plain values and arrays.
        """
        wanted = digest([self.common, name, inputs])
        try:
            known = read_json(self.path(name), format_name=_FORMAT, version=_VERSION)
        except DataError:
            known = {}
        if known.get("inputs") == wanted and known.get("content") == digest(known.get("values")):
            values: dict[str, Any] = known["values"]
            return values
        plain: dict[str, Any] = {key: to_plain(value) for key, value in make().items()}
        self.directory.mkdir(parents=True, exist_ok=True)
        content = {"inputs": wanted, "content": digest(plain), "values": plain}
        write_json(self.path(name), content, format_name=_FORMAT, version=_VERSION)
        return plain
