// Python faces of the evaluator and of the design matrix. Shapes are checked in compiled.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <mutex>

#include "dispatch.hpp"
#include "dynamics.hpp"
#include "evaluator.hpp"

namespace nb = nanobind;

namespace mlff {
namespace {

template <typename Scalar, int Axes>
using Array = nb::ndarray<Scalar, nb::ndim<Axes>, nb::c_contig, nb::device::cpu>;
template <int Axes>
using Ints = Array<const std::int32_t, Axes>;
template <int Axes>
using Doubles = Array<const double, Axes>;

template <typename Scalar>
std::vector<std::remove_const_t<Scalar>> copy(const Array<Scalar, 1>& array) {
    return {array.data(), array.data() + array.shape(0)};
}

void pad_atoms(const double* rows, std::ptrdiff_t n_atoms, double* padded) {
    for (std::ptrdiff_t atom = 0; atom < n_atoms; ++atom) {
        std::copy_n(rows + 3 * atom, 3, padded + kStride * atom);
        padded[kStride * atom + 3] = 0.0;
    }
    std::fill_n(padded + kStride * n_atoms, kStride, 0.0);
}

// A CellEvaluator that may be called from several threads.
template <typename Real>
class Evaluator {
public:
    Evaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, const std::string& isa, int n_threads)
        : evaluator_(n_sites, n_cells, isa, n_threads) {}

    void add_program(Ints<2> slot_atoms, std::ptrdiff_t n_lifted_slots, std::ptrdiff_t n_lifted, Ints<2> lifts,
                     Ints<2> tiles, Ints<1> columns, Doubles<1> coefficients) {
        std::vector<Lift> lift_list;
        for (std::size_t k = 0; k < lifts.shape(0); ++k) {
            lift_list.push_back({lifts(k, 0), lifts(k, 1), lifts(k, 2), lifts(k, 3), lifts(k, 4)});
        }
        std::vector<Tile> tile_list;
        for (std::size_t k = 0; k < tiles.shape(0); ++k) {
            tile_list.push_back({tiles(k, 0), tiles(k, 1), tiles(k, 2), tiles(k, 3), tiles(k, 4), tiles(k, 5),
                                 tiles(k, 6)});
        }
        evaluator_.add_program(slot_atoms.data(), static_cast<std::ptrdiff_t>(slot_atoms.shape(0)), n_lifted_slots,
                               n_lifted, std::move(lift_list), std::move(tile_list), copy(columns),
                               copy(coefficients));
    }

    void add_site_group(Ints<1> home, Ints<1> columns, Doubles<1> coefficients, Doubles<1> bias) {
        evaluator_.add_site_group(copy(home), copy(columns), copy(coefficients), copy(bias));
    }

    double energy_forces(Doubles<2> displacements, Array<double, 2> forces) {
        const nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex_);
        double* u = displacements_.reserve(evaluator_.n_padded());
        double* padded = forces_.reserve(evaluator_.n_padded());
        pad_atoms(displacements.data(), evaluator_.n_atoms(), u);
        const double energy = evaluator_.evaluate(u, padded);
        for (std::ptrdiff_t atom = 0; atom < evaluator_.n_atoms(); ++atom) {
            std::copy_n(padded + kStride * atom, 3, forces.data() + 3 * atom);
        }
        return energy;
    }
    std::tuple<std::int64_t, std::int64_t, std::int64_t> run(
        Array<double, 2> displacements, Array<double, 2> velocities, Array<std::uint64_t, 1> rng,
        Doubles<1> inertias, Doubles<1> velocity_kicks, double velocity_decay, double timestep,
        double displacement_limit, int thermostat, double thermal_energy, std::int64_t n_steps, std::int64_t sample_every,
        Array<double, 3> sampled_displacements, Array<double, 3> sampled_velocities,
        Array<double, 1> potential_energies, Array<double, 1> kinetic_energies) {
        const nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex_);
        const DynamicsInput input = {inertias.data(),
                                     velocity_kicks.data(),
                                     velocity_decay,
                                     timestep,
                                     displacement_limit,
                                     static_cast<Thermostat>(thermostat),
                                     thermal_energy,
                                     n_steps,
                                     sample_every};
        const SampleOutput samples = {sampled_displacements.data(), sampled_velocities.data(),
                                      potential_energies.data(), kinetic_energies.data()};
        const RunResult result =
            run_dynamics(evaluator_, input, displacements.data(), velocities.data(), rng.data(), samples);
        return {result.n_samples, result.stopped_step, result.stopped_atom};
    }

private:
    CellEvaluator<Real> evaluator_;
    std::mutex mutex_;
    AlignedBuffer<double> displacements_, forces_;
};

template <typename Real>
void bind_evaluator(nb::module_& module, const char* name) {
    using namespace nb::literals;
    using Bound = Evaluator<Real>;
    nb::class_<Bound>(module, name)
        .def(nb::init<std::ptrdiff_t, std::ptrdiff_t, const std::string&, int>(), "n_sites"_a, "n_cells"_a, "isa"_a,
             "n_threads"_a)
        .def("add_program", &Bound::add_program)
        .def("add_site_group", &Bound::add_site_group)
        .def("energy_forces", &Bound::energy_forces)
        .def("run", &Bound::run);
}

// Tables of the design matrix; the arrays are kept alive here.
class DesignPlan {
public:
    explicit DesignPlan(const std::string& isa) : kernels_(find_kernels(isa)) {}

    void add_chunk(std::int32_t site, Ints<1> slots, Ints<1> node_parents, Ints<1> node_variables,
                   Ints<1> output_axes, Ints<1> output_parameters, Ints<1> output_starts, Ints<1> entry_nodes,
                   Doubles<1> entry_factors) {
        const DesignChunk chunk = {site,
                                   static_cast<std::ptrdiff_t>(slots.shape(0)),
                                   slots.data(),
                                   static_cast<std::ptrdiff_t>(node_parents.shape(0)),
                                   node_parents.data(),
                                   node_variables.data(),
                                   static_cast<std::ptrdiff_t>(output_axes.shape(0)),
                                   output_axes.data(),
                                   output_parameters.data(),
                                   output_starts.data(),
                                   entry_nodes.data(),
                                   entry_factors.data()};
        scratch_vectors_ = std::max(scratch_vectors_, 3 * chunk.n_slots + chunk.n_nodes + chunk.n_outputs);
        chunks_.push_back(chunk);
        for (const Ints<1>& array : {slots, node_parents, node_variables, output_axes, output_parameters,
                                     output_starts, entry_nodes}) {
            kept_ints_.push_back(array);
        }
        kept_doubles_.push_back(entry_factors);
    }

    // Fills the rows of a zeroed design matrix.
    void fill(Ints<2> slot_atoms, Doubles<2> displacements, Array<double, 2> design) const {
        const nb::gil_scoped_release release;
        AlignedBuffer<double> padded;
        double* u = padded.reserve(kStride * (displacements.shape(0) + 1));
        pad_atoms(displacements.data(), displacements.shape(0), u);
        AlignedBuffer<char> buffer;
        void* scratch = buffer.reserve(scratch_vectors_ * kMaxBytes);
        for (const DesignChunk& chunk : chunks_) {
            kernels_.design(chunk, slot_atoms.data(), slot_atoms.shape(1), u, design.data(), design.shape(1),
                            scratch);
        }
    }

private:
    const Kernels& kernels_;
    std::vector<DesignChunk> chunks_;
    std::vector<Ints<1>> kept_ints_;
    std::vector<Doubles<1>> kept_doubles_;
    std::ptrdiff_t scratch_vectors_ = 0;
};

// One batch of the thermostats' numbers.
std::vector<double> gaussians(const std::string& isa, std::uint64_t key, std::ptrdiff_t count) {
    AlignedBuffer<double> buffer;
    double* values = buffer.reserve(static_cast<std::size_t>(count));
    find_kernels(isa).gaussians(key, count, values);
    return {values, values + count};
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.push_back(kernels->name);
    return names;
}

}  // namespace
}  // namespace mlff

NB_MODULE(_compiled, module) {
    using namespace nb::literals;
    module.def("gaussians", &mlff::gaussians, "isa"_a, "key"_a, "count"_a);
    module.def("instruction_sets", &mlff::instruction_sets);
    mlff::bind_evaluator<double>(module, "ForceEvaluator64");
    mlff::bind_evaluator<float>(module, "ForceEvaluator32");
    nb::class_<mlff::DesignPlan>(module, "DesignPlan")
        .def(nb::init<const std::string&>(), "isa"_a)
        .def("add_chunk", &mlff::DesignPlan::add_chunk)
        .def("fill", &mlff::DesignPlan::fill);
}
