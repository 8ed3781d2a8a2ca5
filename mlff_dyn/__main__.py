"""Entry point of the command and of `python -m mlff_dyn`."""

from typing import NoReturn

from mlff_dyn.cli.interrupts import run_interruptible


def main() -> NoReturn:
    """Run the command line; signals are minded while it is imported, too."""
    run_interruptible(_import_and_run)


def _import_and_run() -> None:
    from mlff_dyn.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
