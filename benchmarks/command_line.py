"""Projects that are worked on by the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import ase.io
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms


def prepare(folder: Path, atoms: Atoms, settings: dict[str, Any]) -> Path:
    """Write a configuration into a folder, which is emptied if it holds another."""
    text, configuration = yaml.safe_dump(settings), folder / "config.yaml"
    if configuration.exists() and configuration.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ase.io.write(folder / "POSCAR", atoms, format="vasp", direct=True)
    configuration.write_text(text, encoding="utf-8")
    return configuration


def command(verb: str, configuration: Path, *options: str) -> dict[str, Any]:
    """Answer of a command; empty where it has none, and what it said instead is passed on."""
    words = [sys.executable, "-m", "mlff_dyn", verb, str(configuration), "--json", "-q", *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if not done.stdout:
        print(
            f"{verb} {configuration}: {done.returncode}: {done.stderr.strip()}", file=sys.stderr, flush=True
        )
    return dict(json.loads(done.stdout)) if done.stdout else {}
