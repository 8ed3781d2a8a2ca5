#include "dynamics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "random.hpp"

namespace mlff {

namespace {

class Integrator {
public:
    Integrator(ForceEvaluator& evaluator, const DynamicsInput& input, const double* displacements,
               const double* velocities, const std::uint64_t* rng)
        : evaluator_(evaluator),
          input_(input),
          n_atoms_(evaluator.n_atoms()),
          u_(kStride * (n_atoms_ + 1), 0.0),
          v_(u_),
          forces_(u_),
          half_steps_(n_atoms_),
          gaussians_(3 * n_atoms_),
          stream_(rng) {
        unpack(displacements, u_);
        unpack(velocities, v_);
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            half_steps_[atom] = 0.5 * input.timestep / input.inertias[atom];
            total_inertia_ += input.inertias[atom];
        }
        potential_energy_ = evaluator_.evaluate(u_.data(), forces_.data());
    }

    // One step; the atom that left the limit, or -1.
    std::ptrdiff_t step() {
        kick();
        if (input_.has_thermostat) {
            drift(0.5 * input_.timestep);
            thermostat();
            drift(0.5 * input_.timestep);
        } else {
            drift(input_.timestep);
        }
        const std::ptrdiff_t outside = find_outside();
        if (outside >= 0) return outside;
        potential_energy_ = evaluator_.evaluate(u_.data(), forces_.data());
        kick();
        return -1;
    }

    double potential_energy() const { return potential_energy_; }

    double kinetic_energy() const {
        double energy = 0.0;
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            const double* v = &v_[kStride * atom];
            energy += 0.5 * input_.inertias[atom] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        }
        return energy;
    }

    void save(double* displacements, double* velocities) const {
        pack(u_, displacements);
        pack(v_, velocities);
    }

    void save_stream(std::uint64_t* rng) const { stream_.save(rng); }

private:
    void unpack(const double* rows, std::vector<double>& padded) const {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            std::copy_n(rows + 3 * atom, 3, padded.begin() + kStride * atom);
        }
    }

    void pack(const std::vector<double>& padded, double* rows) const {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            std::copy_n(padded.begin() + kStride * atom, 3, rows + 3 * atom);
        }
    }

    void kick() {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (std::ptrdiff_t k = kStride * atom; k < kStride * atom + 3; ++k) v_[k] += half_steps_[atom] * forces_[k];
        }
    }

    void drift(double time) {
        for (std::ptrdiff_t k = 0; k < kStride * n_atoms_; ++k) u_[k] += time * v_[k];
    }

    void thermostat() {
        stream_.fill_gaussians(gaussians_.data(), 3 * n_atoms_);
        double momentum[3] = {0.0, 0.0, 0.0};
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (int axis = 0; axis < 3; ++axis) {
                double& v = v_[kStride * atom + axis];
                v = input_.velocity_decay * v + input_.velocity_kicks[atom] * gaussians_[3 * atom + axis];
                momentum[axis] += input_.inertias[atom] * v;
            }
        }
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (int axis = 0; axis < 3; ++axis) v_[kStride * atom + axis] -= momentum[axis] / total_inertia_;
        }
    }

    std::ptrdiff_t find_outside() const {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            const double* u = &u_[kStride * atom];
            const double distance = std::sqrt(u[0] * u[0] + u[1] * u[1] + u[2] * u[2]);
            if (!(distance <= input_.displacement_limit) || !std::isfinite(distance)) return atom;
        }
        return -1;
    }

    ForceEvaluator& evaluator_;
    const DynamicsInput& input_;
    std::ptrdiff_t n_atoms_;
    std::vector<double> u_, v_, forces_, half_steps_, gaussians_;
    RandomStream stream_;
    double total_inertia_ = 0.0;
    double potential_energy_ = 0.0;
};

}  // namespace

RunResult run_dynamics(ForceEvaluator& evaluator, const DynamicsInput& input, double* displacements,
                       double* velocities, std::uint64_t* rng, const SampleOutput& samples) {
    Integrator integrator(evaluator, input, displacements, velocities, rng);
    RunResult result = {0, -1, -1};
    const std::ptrdiff_t length = 3 * evaluator.n_atoms();
    for (std::int64_t step = 1; step <= input.n_steps; ++step) {
        const std::ptrdiff_t outside = integrator.step();
        if (outside >= 0) {
            result.stopped_step = step;
            result.stopped_atom = outside;
            break;
        }
        if (step % input.sample_every == 0) {
            const std::int64_t k = result.n_samples++;
            integrator.save(samples.displacements + k * length, samples.velocities + k * length);
            samples.potential_energies[k] = integrator.potential_energy();
            samples.kinetic_energies[k] = integrator.kinetic_energy();
        }
    }
    integrator.save(displacements, velocities);
    integrator.save_stream(rng);
    return result;
}

}  // namespace mlff
