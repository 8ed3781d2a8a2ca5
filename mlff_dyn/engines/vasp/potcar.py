"""POTCAR: data sets found in the library of the user, read, checked, put together; never stored."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import ConfigError, DataError, EngineError
from mlff_dyn.store.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_FOLDER = "potpaw_PBE"
LIBRARY_VARIABLES = ("VASP_PP_PATH", "PMG_VASP_PSP_DIR")
"""Of ASE and of pymatgen."""

VDW_NAME = "vdw_kernel.bindat"
VDW_VARIABLE = "ASE_VASP_VDW"

FUNCTIONALS = {"PE": "potpaw_PBE", "91": "potpaw_GGA", "CA": "potpaw_LDA"}
"""LEXCH of a data set to the usual name of its folder."""

_END = "End of Dataset"
_LZW = b"\x1f\x9d"
_SUFFIXES = ("", ".gz", ".Z", ".bz2", ".xz")
_PATTERNS = {
    "title": re.compile(r"^\s*TITEL\s*=\s*(\S.*?)\s*$", re.MULTILINE),
    "element": re.compile(r"^\s*VRHFIN\s*=\s*([A-Za-z]{1,2})\s*:", re.MULTILINE),
    "functional": re.compile(r"^\s*LEXCH\s*=\s*(\S+)", re.MULTILINE),
    "enmax_ev": re.compile(r"\bENMAX\s*=\s*([\d.]+)"),
    "enmin_ev": re.compile(r"\bENMIN\s*=\s*([\d.]+)"),
    "n_valence": re.compile(r"\bZVAL\s*=\s*([\d.]+)"),
}
_HASH_CHARACTERS = 12


@dataclass(frozen=True)
class Potential:
    """What a data set says of itself.

    Attributes
    ----------
    title : str              such as "PAW_PBE Sn_d 06Sep2000"
    element : str
    functional : str         LEXCH, such as PE
    enmax_ev, enmin_ev : float
    n_valence : float
    digest : str             of the text, without blanks at line ends
    text : str               of the data set
    """

    title: str
    element: str
    functional: str
    enmax_ev: float
    enmin_ev: float
    n_valence: float
    digest: str
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """Name in the library, such as Sn_d."""
        words = self.title.split()
        return words[1] if len(words) > 1 else self.element

    @property
    def label(self) -> str:
        """Title and digest, for the provenance."""
        return f"{self.title} sha256:{self.digest}"

    def to_json(self) -> dict[str, str | float]:
        """Return what it says, without its text."""
        return {name: value for name, value in asdict(self).items() if name != "text"}


def parse_potentials(text: str, name: object) -> list[Potential]:
    """Read the data sets of a POTCAR.

    Parameters
    ----------
    text : str
    name : object
        Of the file, for messages.

    Raises
    ------
    DataError
        If it is cut or no POTCAR.
    """
    parts = text.split(_END)
    if len(parts) < 2 or parts[-1].strip():
        raise DataError(
            f"{name}: no POTCAR, or its end is missing", fix="copy it again from the distribution of VASP"
        )
    return [_parse(part, name) for part in parts[:-1]]


def _parse(text: str, name: object) -> Potential:
    found = {key: pattern.search(text) for key, pattern in _PATTERNS.items()}
    missing = [key for key, match in found.items() if match is None]
    if missing:
        raise DataError(
            f"{name}: no {' and '.join(missing)} in it; not a POTCAR of VASP 5 or 6",
            fix="copy it again from the distribution of VASP",
        )
    words = {key: match[1] for key, match in found.items() if match is not None}
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return Potential(
        title=words["title"],
        element=words["element"].capitalize(),
        functional=words["functional"],
        enmax_ev=float(words["enmax_ev"]),
        enmin_ev=float(words["enmin_ev"]),
        n_valence=float(words["n_valence"]),
        digest=hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_HASH_CHARACTERS],
        text="\n".join(lines) + f"\n      {_END}\n",
    )


def library_folder(given: object) -> Path:
    """Return the folder of the user's library, from the profile or the environment.

    Raises
    ------
    ConfigError
        If nobody says where it is.
    """
    chosen = given if given is not None else next(filter(None, map(os.environ.get, LIBRARY_VARIABLES)), None)
    if not isinstance(chosen, str | Path):
        raise ConfigError(
            "engine.profile.pseudo_dir: is required",
            fix=f"give the folder that holds {DEFAULT_FOLDER}, or set {LIBRARY_VARIABLES[0]}",
        )
    return Path(chosen).expanduser().resolve()


def find_vdw_kernel(library: Path, folder: str) -> Path | None:
    """Return the kernel of nonlocal correlation in the library; new versions of VASP do without the file."""
    places = (library, library / folder, *map(Path, filter(None, [os.environ.get(VDW_VARIABLE)])))
    return next((place / VDW_NAME for place in places if (place / VDW_NAME).is_file()), None)


def find_potentials(library: Path, folder: str, names: Mapping[str, str]) -> dict[str, Potential]:
    """Read the data sets of all elements.

    Parameters
    ----------
    library : Path
        Holds ``folder/NAME/POTCAR``, ``folder/POTCAR.NAME`` or the same without ``folder``, each possibly
        compressed; or a POTCAR with several data sets.
    folder : str
        Of the functional.
    names : mapping of str to str
        Element to name, such as Sn to Sn_d.

    Raises
    ------
    ConfigError
        If one is of another element or functional than it should be.
    EngineError
        If one is missing, or cannot be read.
    """
    found = {element: _find(library, folder, element, name) for element, name in names.items()}
    for element, potential in found.items():
        if potential.element != element:
            raise ConfigError(
                f"engine.parameters.pseudopotentials.{element}: {potential.title} is of {potential.element}",
                fix=f"give a POTCAR of {element}",
            )
    functionals = {potential.functional: potential.title for potential in found.values()}
    if len(functionals) > 1:
        raise ConfigError(
            f"engine.parameters.pseudopotentials: functionals differ: {', '.join(functionals.values())}",
            fix="take all from one folder of the library",
        )
    return found


def _find(library: Path, folder: str, element: str, name: str) -> Potential:
    for path in _candidates(library, folder, name):
        if path.is_file():
            potentials = _read(path)
            if len(potentials) == 1:
                return potentials[0]
    together = library / "POTCAR"
    if together.is_file():
        own = [potential for potential in _read(together) if potential.name == name]
        if own:
            return own[0]
    where = f"pseudopotential {name} of {element}: not in {library}"
    base = library / folder
    if not library.is_dir():
        raise EngineError(f"{where}, which is no folder", fix="correct engine.profile.pseudo_dir")
    if not base.is_dir():
        others = ", ".join(sorted(each.name for each in library.glob("pot*") if each.is_dir()))
        has = f"it has {others}" if others else "it has none of the name pot*"
        raise EngineError(
            f"{where}: it has no folder {folder}; {has}",
            fix="correct engine.parameters.potcar_folder or engine.profile.pseudo_dir",
        )
    raise EngineError(
        f"{where}/{folder}; of {element} it has {_names_of(base, element)}", fix=f"correct {element}: {name}"
    )


def _names_of(base: Path, element: str) -> str:
    """Names in a folder that belong to an element."""
    pattern = re.compile(rf"(?:POTCAR\.)?({element}(?:[._-]\w+)?)(?:\.(?:gz|Z|bz2|xz))?")
    found = {match[1] for each in base.iterdir() if (match := pattern.fullmatch(each.name))}
    return ", ".join(sorted(found)) or "none"


def _candidates(library: Path, folder: str, name: str) -> Iterator[Path]:
    for base in (library / folder, library):
        for suffix in _SUFFIXES:
            yield base / name / f"POTCAR{suffix}"
            yield base / f"POTCAR.{name}{suffix}"


def _read(path: Path) -> list[Potential]:
    try:
        source = Source(path)
        text = _uncompressed(path) if source.head(2) == _LZW else source.read_text()
        return parse_potentials(text, path)
    except DataError as error:
        raise EngineError(error.message, fix=error.fix) from error


def _uncompressed(path: Path) -> str:
    """Text of a file of ``compress``, which Python has no reader for."""
    try:
        unpacked = subprocess.run(["gzip", "-dc", str(path)], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(f"{path} cannot be unpacked by gzip: {error}", fix="unpack it by hand") from error
    return unpacked.stdout.decode(errors="replace")
