// Python face of the evaluator, and the module. Shapes are checked in compiled.py.
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "arrays.hpp"
#include "dispatch.hpp"
#include "dynamics.hpp"
#include "evaluator.hpp"

namespace nb = nanobind;

namespace mlff {
namespace {

// A CellEvaluator that may be called from several threads.
template <typename Real>
class Evaluator {
public:
    Evaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, std::ptrdiff_t n_replicas, const std::string& isa,
              int n_threads)
        : evaluator_(n_sites, n_cells, n_replicas, isa, n_threads) {}

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
        evaluator_.add_program(evaluator_.slots(slot_atoms.data(), slot_atoms.shape(0), slot_atoms.shape(1)), n_lifted_slots, n_lifted, std::move(lift_list), std::move(tile_list),
                               copy(columns), copy(coefficients));
    }

    void set_grid(std::ptrdiff_t d1, std::ptrdiff_t d2, std::ptrdiff_t d3) { evaluator_.set_grid(d1, d2, d3); }

    void add_site_group(Ints<1> home, Ints<1> columns, Doubles<1> coefficients, Doubles<1> bias) {
        evaluator_.add_site_group(copy(home), copy(columns), copy(coefficients), copy(bias));
    }

    void set_harmonic(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, const std::string& isa, std::ptrdiff_t n_packed,
                      Ints<2> stages, Doubles<1> twiddles, Ints<1> pairs, Doubles<1> products) {
        std::vector<TransformStage> list;
        for (std::size_t k = 0; k < stages.shape(0); ++k) {
            list.push_back({stages(k, 0), stages(k, 1), stages(k, 2), stages(k, 3), stages(k, 4), stages(k, 5)});
        }
        evaluator_.set_harmonic(std::make_unique<TorusHarmonic<Real>>(
            n_sites, n_cells, isa, n_packed, std::move(list), copy(twiddles), copy(pairs),
            SharedProducts{products.data(), products.shape(0), std::make_shared<const Doubles<1>>(products)}));
    }

    void set_local(const std::string& isa, std::ptrdiff_t l_max, double cutoff, double energy_at_rest, Ints<1> kinds,
                   Ints<1> starts, Ints<1> kinds_of_neighbors, Ints<2> neighbor_atoms, Doubles<2> vectors,
                   Doubles<3> radial, Doubles<2> pair, Doubles<4> triple, Ints<1> cubic_kinds, Ints<2> cubic_pairs,
                   Ints<1> cubic_starts, Ints<1> cubic_thirds, Doubles<1> cubic) {
        LocalInput input;
        input.neighbor_atoms = evaluator_.slots(neighbor_atoms.data(), neighbor_atoms.shape(0), neighbor_atoms.shape(1));
        input.n_cells = input.neighbor_atoms.n_cells;
        input.kinds = copy(kinds);
        input.starts = copy(starts);
        input.kinds_of_neighbors = copy(kinds_of_neighbors);
        input.vectors = copy(vectors);
        input.cutoff = cutoff;
        input.n_polynomials = static_cast<std::ptrdiff_t>(radial.shape(0));
        input.l_max = l_max;
        input.n_kinds = static_cast<std::ptrdiff_t>(pair.shape(0));
        input.radial = copy(radial);
        input.pair = copy(pair);
        input.triple = copy(triple);
        input.cubic_kinds = copy(cubic_kinds);
        input.cubic_pairs = copy(cubic_pairs);
        input.cubic_starts = copy(cubic_starts);
        input.cubic_thirds = copy(cubic_thirds);
        input.cubic = copy(cubic);
        input.find_ends();
        evaluator_.set_local(std::make_unique<TorusLocal<Real>>(input, isa), energy_at_rest);
    }

    void local_virial(Doubles<2> displacements, Array<double, 2> virial) {
        const nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex_);
        double* u = displacements_.reserve(evaluator_.n_padded());
        pad_atoms(displacements.data(), evaluator_.n_atoms(), u);
        evaluator_.local_virial(u, virial.data());
    }

    // Sum over the replicas.
    double energy_forces(Doubles<2> displacements, Array<double, 2> forces) {
        const nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex_);
        const std::ptrdiff_t n_atoms = evaluator_.n_replicas() * evaluator_.n_atoms();
        double* u = displacements_.reserve(evaluator_.n_padded());
        double* padded = forces_.reserve(evaluator_.n_padded());
        pad_atoms(displacements.data(), n_atoms, u);
        evaluator_.evaluate(u, padded);
        for (std::ptrdiff_t atom = 0; atom < n_atoms; ++atom) {
            std::copy_n(padded + kStride * atom, 3, forces.data() + 3 * atom);
        }
        double energy = 0.0;
        for (std::ptrdiff_t k = 0; k < evaluator_.n_replicas(); ++k) energy += evaluator_.energy(k);
        return energy;
    }

    // Every array has the replicas first; scalars are velocity decay, timestep, displacement limit and thermal energy.
    // Of each replica: samples taken, step and atom of the stop or -1.
    std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>> run(
        Array<double, 3> displacements, Array<double, 3> velocities, Array<std::uint64_t, 2> rng, Doubles<2> inertias,
        Doubles<2> velocity_kicks, Doubles<2> scalars, Ints<1> thermostats, std::int64_t n_steps,
        std::int64_t sample_every, Array<double, 4> sampled_displacements, Array<double, 4> sampled_velocities,
        Array<double, 2> potential_energies, Array<double, 2> kinetic_energies) {
        const nb::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex_);
        std::vector<DynamicsInput> inputs;
        for (std::ptrdiff_t k = 0; k < evaluator_.n_replicas(); ++k) {
            inputs.push_back({&inertias(k, 0), &velocity_kicks(k, 0), scalars(k, 0), scalars(k, 1), scalars(k, 2),
                              static_cast<Thermostat>(thermostats(k)), scalars(k, 3)});
        }
        const SampleOutput samples = {n_steps,
                                      sample_every,
                                      sampled_displacements.data(),
                                      sampled_velocities.data(),
                                      potential_energies.data(),
                                      kinetic_energies.data()};
        std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>> outcomes;
        for (const RunResult& result :
             run_dynamics(evaluator_, inputs, displacements.data(), velocities.data(), rng.data(), samples)) {
            outcomes.emplace_back(result.n_samples, result.stopped_step, result.stopped_atom);
        }
        return outcomes;
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
        .def(nb::init<std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t, const std::string&, int>(), "n_sites"_a,
             "n_cells"_a, "n_replicas"_a, "isa"_a, "n_threads"_a)
        .def("set_grid", &Bound::set_grid)
        .def("add_program", &Bound::add_program)
        .def("add_site_group", &Bound::add_site_group)
        .def("set_harmonic", &Bound::set_harmonic)
        .def("set_local", &Bound::set_local)
        .def("local_virial", &Bound::local_virial)
        .def("energy_forces", &Bound::energy_forces)
        .def("run", &Bound::run);
}

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
    mlff::bind_design(module);
    mlff::bind_local(module);
}
