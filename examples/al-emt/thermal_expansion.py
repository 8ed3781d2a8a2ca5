"""Lattice parameter of cubic aluminium against temperature, from the answer of run-md at constant pressure.

python thermal_expansion.py run/md.json expansion.json
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
import matplotlib.pyplot as plt

ATOMS_PER_CELL = 4


def main(answer: Path, output: Path) -> None:
    """Print a table, and write it with the mean expansion coefficient and a plot beside it."""
    trajectories = json.loads(answer.read_text(encoding="utf-8"))["trajectories"]
    temperatures = np.array([each["temperature_k"] for each in trajectories])
    cells = np.array([each["n_atoms"] / ATOMS_PER_CELL for each in trajectories])
    volumes = np.array([each["volume_angstrom3"] for each in trajectories]) / cells
    errors = np.array([each["volume_error_angstrom3"] for each in trajectories]) / cells
    lengths = np.cbrt(volumes)
    length_errors = lengths * errors / (3.0 * volumes)
    (slope, _), covariance = np.polyfit(
        temperatures, np.log(lengths), 1, w=lengths / length_errors, cov="unscaled"
    )
    result = {
        "temperatures_k": temperatures.tolist(),
        "lattice_parameters_angstrom": lengths.tolist(),
        "lattice_parameter_errors_angstrom": length_errors.tolist(),
        "expansion_coefficient_per_k": float(slope),
        "expansion_coefficient_error_per_k": float(covariance[0, 0] ** 0.5),
    }
    for temperature, length, error in zip(temperatures, lengths, length_errors, strict=True):
        print(f"{temperature:5.0f} K  a = {length:.4f} ± {error:.4f} Å")
    print(f"linear expansion {1e6 * slope:.1f} ± {1e6 * covariance[0, 0] ** 0.5:.1f} 1e-6/K")
    _, axes = plt.subplots(figsize=(5.0, 3.5), layout="constrained")
    axes.errorbar(temperatures, lengths, length_errors, fmt="o", capsize=3)
    axes.set(xlabel="temperature (K)", ylabel="lattice parameter (Å)")
    plt.savefig(output.with_suffix(".png"), dpi=150)
    partial = output.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
