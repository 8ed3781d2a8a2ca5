#include "dynamics.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "random.hpp"

namespace mlff {

namespace {

// One replica; its displacements and forces are parts of the padded arrays of all.
class Integrator {
public:
    Integrator(const DynamicsInput& input, std::ptrdiff_t n_atoms, GaussianFunction gaussians, double* u,
               const double* forces, const double* displacements, const double* velocities, const std::uint64_t* rng)
        : input_(input),
          n_atoms_(n_atoms),
          length_(kStride * n_atoms),
          u_(u),
          v_(length_, 0.0),
          forces_(forces),
          inertias_(length_, 0.0),
          half_steps_(length_, 0.0),
          kicks_(length_, 0.0),
          stream_(rng, gaussians) {
        unpack(displacements, u_);
        unpack(velocities, v_.data());
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (std::ptrdiff_t k = kStride * atom; k < kStride * atom + 3; ++k) {
                inertias_[k] = input.inertias[atom];
                half_steps_[k] = 0.5 * input.timestep / input.inertias[atom];
                kicks_[k] = input.velocity_kicks[atom];
            }
            total_inertia_ += input.inertias[atom];
        }
    }

    // A step as far as new forces are needed; the atom that left the limit, or -1.
    std::ptrdiff_t advance() {
        kick();
        if (input_.thermostat == Thermostat::kNone) {
            drift(input_.timestep);
        } else {
            drift(0.5 * input_.timestep);
            input_.thermostat == Thermostat::kLangevin ? langevin() : bussi();
            drift(0.5 * input_.timestep);
        }
        return find_outside();
    }

    // The rest of the step, with the new forces.
    void kick() {
        for (std::ptrdiff_t k = 0; k < length_; ++k) v_[k] += half_steps_[k] * forces_[k];
    }

    double kinetic_energy() const {
        double energy = 0.0;
        for (std::ptrdiff_t k = 0; k < length_; ++k) energy += 0.5 * inertias_[k] * v_[k] * v_[k];
        return energy;
    }

    void save(double* displacements, double* velocities) const {
        pack(u_, displacements);
        pack(v_.data(), velocities);
    }

    void save_stream(std::uint64_t* rng) const { stream_.save(rng); }

private:
    void unpack(const double* rows, double* padded) const {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            std::copy_n(rows + 3 * atom, 3, padded + kStride * atom);
        }
    }

    void pack(const double* padded, double* rows) const {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            std::copy_n(padded + kStride * atom, 3, rows + 3 * atom);
        }
    }

    void drift(double time) {
        for (std::ptrdiff_t k = 0; k < length_; ++k) u_[k] += time * v_[k];
    }

    void langevin() {
        const double* gaussians = stream_.draw_gaussians(length_);
        double momentum[kStride] = {};
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (std::ptrdiff_t axis = 0; axis < kStride; ++axis) {
                const std::ptrdiff_t k = kStride * atom + axis;
                v_[k] = input_.velocity_decay * v_[k] + kicks_[k] * gaussians[k];
                momentum[axis] += inertias_[k] * v_[k];
            }
        }
        for (double& component : momentum) component /= total_inertia_;
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (std::ptrdiff_t axis = 0; axis < kStride; ++axis) v_[kStride * atom + axis] -= momentum[axis];
        }
    }

    void bussi() {
        const std::ptrdiff_t n_freedoms = 3 * (n_atoms_ - 1);
        const double kinetic = kinetic_energy();
        if (n_freedoms == 0 || !(kinetic > 0.0)) return;
        const double* gaussians = stream_.draw_gaussians(n_freedoms);
        double squares = 0.0;
        for (std::ptrdiff_t k = 0; k < n_freedoms; ++k) squares += gaussians[k] * gaussians[k];
        const double decay = input_.velocity_decay;
        const double ratio = 0.5 * input_.thermal_energy / kinetic;
        const double scale = std::sqrt(decay) + std::sqrt((1.0 - decay) * ratio) * gaussians[0];
        const double rest = (1.0 - decay) * ratio * (squares - gaussians[0] * gaussians[0]);
        const double factor = std::copysign(std::sqrt(scale * scale + rest), scale);
        for (std::ptrdiff_t k = 0; k < length_; ++k) v_[k] *= factor;
    }

    std::ptrdiff_t find_outside() const {
        const double limit = input_.displacement_limit * input_.displacement_limit;
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            const double* u = &u_[kStride * atom];
            const double square = u[0] * u[0] + u[1] * u[1] + u[2] * u[2];
            if (!(square <= limit) || square > kLargest) return atom;
        }
        return -1;
    }

    static constexpr double kLargest = std::numeric_limits<double>::max();

    const DynamicsInput& input_;
    std::ptrdiff_t n_atoms_, length_;
    double* u_;
    std::vector<double> v_;
    const double* forces_;
    std::vector<double> inertias_, half_steps_, kicks_;
    RandomStream stream_;
    double total_inertia_ = 0.0;
};

}  // namespace

std::vector<RunResult> run_dynamics(ForceEvaluator& evaluator, const std::vector<DynamicsInput>& inputs,
                                    double* displacements, double* velocities, std::uint64_t* rng,
                                    const SampleOutput& samples) {
    const std::ptrdiff_t n_replicas = evaluator.n_replicas(), n_atoms = evaluator.n_atoms(), length = 3 * n_atoms;
    const std::int64_t n_samples = samples.n_steps / samples.sample_every;
    AlignedBuffer<double> buffers[2];
    double* u = buffers[0].reserve(evaluator.n_padded());
    double* forces = buffers[1].reserve(evaluator.n_padded());
    std::fill_n(u, evaluator.n_padded(), 0.0);
    std::deque<Integrator> replicas;
    for (std::ptrdiff_t k = 0; k < n_replicas; ++k) {
        const std::ptrdiff_t first = kStride * k * n_atoms;
        replicas.emplace_back(inputs[k], n_atoms, evaluator.gaussians(), u + first, forces + first,
                              displacements + k * length, velocities + k * length, rng + 4 * k);
    }
    std::vector<RunResult> results(static_cast<std::size_t>(n_replicas), RunResult{0, -1, -1});
    std::ptrdiff_t n_running = n_replicas;
    evaluator.evaluate(u, forces);
    for (std::int64_t step = 1; step <= samples.n_steps; ++step) {
        for (std::ptrdiff_t k = 0; k < n_replicas; ++k) {
            if (results[k].stopped_step >= 0) continue;
            const std::ptrdiff_t outside = replicas[k].advance();
            if (outside < 0) continue;
            results[k].stopped_step = step;
            results[k].stopped_atom = outside;
            --n_running;
        }
        if (n_running == 0) break;
        evaluator.evaluate(u, forces);
        for (std::ptrdiff_t k = 0; k < n_replicas; ++k) {
            if (results[k].stopped_step >= 0) continue;
            replicas[k].kick();
            if (step % samples.sample_every != 0) continue;
            const std::int64_t place = k * n_samples + results[k].n_samples++;
            replicas[k].save(samples.displacements + place * length, samples.velocities + place * length);
            samples.potential_energies[place] = evaluator.energy(k);
            samples.kinetic_energies[place] = replicas[k].kinetic_energy();
        }
    }
    for (std::ptrdiff_t k = 0; k < n_replicas; ++k) {
        replicas[k].save(displacements + k * length, velocities + k * length);
        replicas[k].save_stream(rng + 4 * k);
    }
    return results;
}

}  // namespace mlff
