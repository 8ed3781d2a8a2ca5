"""``python -m mlff_dyn.execution.run_directory RECIPE DIRECTORY``: run an engine on its input."""

from __future__ import annotations

import sys
from pathlib import Path

from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import MlffError
from mlff_dyn.execution.submit_script import RECIPE_FORMAT, VERSION
from mlff_dyn.store.json_file import read_json


def main(recipe: str, directory: str) -> int:
    """Run; the exit status, 0 where the engine has a result."""
    try:
        engine = create_engine(**read_json(Path(recipe), format_name=RECIPE_FORMAT, version=VERSION))
        engine.run(Path(directory))
        engine.read_result(Path(directory))
    except MlffError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
