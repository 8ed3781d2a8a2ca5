"""Entry point of `python -m mlff_dyn`."""

from mlff_dyn.cli.app import main

if __name__ == "__main__":
    main()
