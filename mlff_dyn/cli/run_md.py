"""`mlff-dyn run-md`."""

from mlff_dyn.cli import options
from mlff_dyn.cli.session import finish, read_config, session


def run_md(
    config: options.ConfigFile,
    *,
    run_dir: options.RunDir = None,
    overrides: options.Overrides = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> None:
    """Run molecular dynamics on the trained force field."""
    with session(verbose, quiet) as progress:
        loaded = read_config(config, run_dir=run_dir, overrides=overrides, seed=seed)

        from mlff_dyn.workflows.md.run_md import run_md as run_dynamics

        report = run_dynamics(loaded, dry_run=dry_run, force=force, progress=progress)
        finish(report, as_json=as_json)
