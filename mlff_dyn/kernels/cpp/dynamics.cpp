#include "dynamics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
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
          length_(kStride * n_atoms_),
          u_(buffers_[0].reserve(evaluator.n_padded())),
          v_(buffers_[1].reserve(evaluator.n_padded())),
          forces_(buffers_[2].reserve(evaluator.n_padded())),
          inertias_(length_, 0.0),
          half_steps_(length_, 0.0),
          kicks_(length_, 0.0),
          stream_(rng, evaluator.gaussians()) {
        unpack(displacements, u_);
        unpack(velocities, v_);
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            for (std::ptrdiff_t k = kStride * atom; k < kStride * atom + 3; ++k) {
                inertias_[k] = input.inertias[atom];
                half_steps_[k] = 0.5 * input.timestep / input.inertias[atom];
                kicks_[k] = input.velocity_kicks[atom];
            }
            total_inertia_ += input.inertias[atom];
        }
        potential_energy_ = evaluator_.evaluate(u_, forces_);
    }

    // One step; the atom that left the limit, or -1.
    std::ptrdiff_t step() {
        kick();
        if (input_.thermostat == Thermostat::kNone) {
            drift(input_.timestep);
        } else {
            drift(0.5 * input_.timestep);
            input_.thermostat == Thermostat::kLangevin ? langevin() : bussi();
            drift(0.5 * input_.timestep);
        }
        const std::ptrdiff_t outside = find_outside();
        if (outside >= 0) return outside;
        potential_energy_ = evaluator_.evaluate(u_, forces_);
        kick();
        return -1;
    }

    double potential_energy() const { return potential_energy_; }

    double kinetic_energy() const {
        double energy = 0.0;
        for (std::ptrdiff_t k = 0; k < length_; ++k) energy += 0.5 * inertias_[k] * v_[k] * v_[k];
        return energy;
    }

    void save(double* displacements, double* velocities) const {
        pack(u_, displacements);
        pack(v_, velocities);
    }

    void save_stream(std::uint64_t* rng) const { stream_.save(rng); }

private:
    void unpack(const double* rows, double* padded) const {
        std::fill_n(padded, evaluator_.n_padded(), 0.0);
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            std::copy_n(rows + 3 * atom, 3, padded + kStride * atom);
        }
    }

    void pack(const double* padded, double* rows) const {
        for (std::ptrdiff_t atom = 0; atom < n_atoms_; ++atom) {
            std::copy_n(padded + kStride * atom, 3, rows + 3 * atom);
        }
    }

    void kick() {
        for (std::ptrdiff_t k = 0; k < length_; ++k) v_[k] += half_steps_[k] * forces_[k];
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

    ForceEvaluator& evaluator_;
    const DynamicsInput& input_;
    std::ptrdiff_t n_atoms_, length_;
    AlignedBuffer<double> buffers_[3];
    double* u_;
    double* v_;
    double* forces_;
    std::vector<double> inertias_, half_steps_, kicks_;
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
