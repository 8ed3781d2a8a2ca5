// Molecular dynamics of the replicas of a ForceEvaluator; the equations are in dynamics.py.
#pragma once

#include <cstdint>
#include <vector>

#include "evaluator.hpp"

namespace mlff {

enum class Thermostat : int { kNone = 0, kLangevin = 1, kBussi = 2 };

// How one replica moves.
struct DynamicsInput {
    const double* inertias;        // eV fs^2 / A^2, one per atom
    const double* velocity_kicks;  // A/fs, one per atom
    double velocity_decay;
    double timestep;  // fs
    double displacement_limit;
    Thermostat thermostat;
    double thermal_energy;  // eV
};

// Where samples go; each array has room for n_steps / sample_every of them, replica after replica.
struct SampleOutput {
    std::int64_t n_steps;
    std::int64_t sample_every;
    double* displacements;
    double* velocities;
    double* potential_energies;
    double* kinetic_energies;
};

struct RunResult {
    std::int64_t n_samples;
    std::int64_t stopped_step;  // -1 if the run was completed
    std::int64_t stopped_atom;
};

// Moves displacements, velocities (n_replicas x n_atoms x 3) and the random states (n_replicas x 4) in place. A replica
// that leaves its limit stays where it is; the others go on.
std::vector<RunResult> run_dynamics(ForceEvaluator& evaluator, const std::vector<DynamicsInput>& inputs,
                                    double* displacements, double* velocities, std::uint64_t* rng,
                                    const SampleOutput& samples);

}  // namespace mlff
