// Python face of the rows of the local part. Shapes are checked in compiled/local_design.py.
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <string>

#include "aligned.hpp"
#include "arrays.hpp"
#include "dispatch.hpp"
#include "local_design.hpp"

namespace mlff {
namespace {

// Tables of the local part; the arrays are kept alive here.
class LocalPlan {
public:
    LocalPlan(const std::string& isa, std::ptrdiff_t l_max, std::ptrdiff_t n_functions, double cutoff,
              Doubles<3> radial, Ints<1> kinds, Ints<1> starts, Ints<1> neighbor_kinds, Doubles<2> vectors,
              Ints<3> functions, Doubles<2> weights, Ints<1> quadruple_starts, Ints<2> quadruples, Ints<2> couplings,
              Ints<2> orders, Doubles<1> coupling_weights)
        : kernels_(find_kernels(isa)),
          radial_(radial),
          kinds_(kinds),
          starts_(starts),
          neighbor_kinds_(neighbor_kinds),
          vectors_(vectors),
          functions_(functions),
          weights_(weights),
          quadruple_starts_(quadruple_starts),
          quadruples_(quadruples),
          couplings_(couplings),
          orders_(orders),
          coupling_weights_(coupling_weights) {
        const RadialTable<double> table = {static_cast<std::ptrdiff_t>(radial.shape(1)),
                                           static_cast<std::ptrdiff_t>(radial.shape(0)), cutoff, radial.data()};
        std::ptrdiff_t most = 0;
        for (std::size_t site = 0; site < kinds.shape(0); ++site) {
            most = std::max<std::ptrdiff_t>(most, starts(site + 1) - starts(site));
        }
        std::int32_t largest = 0;
        for (std::size_t k = 0; k < quadruples.shape(0); ++k) {
            for (std::size_t column = 4; column < 7; ++column) largest = std::max(largest, quadruples(k, column));
        }
        const Quadruples products = {quadruple_starts.data(),
                                     reinterpret_cast<const Quadruples::Product*>(quadruples.data()),
                                     reinterpret_cast<const Quadruples::Coupling*>(couplings.data()),
                                     orders.data(),
                                     coupling_weights.data(),
                                     static_cast<std::ptrdiff_t>(largest + 1) * (largest + 1)};
        design_ = {static_cast<std::ptrdiff_t>(functions.shape(0)), l_max, n_functions, table, kinds.data(),
                   starts.data(), neighbor_kinds.data(), vectors.data(), most, functions.data(), weights.data(), products};
    }

    // Adds to the rows of the forces on some atoms, and, if totals has rows, the share of these atoms to the rows of the
    // virial and of the energy.
    void add_rows(Ints<2> neighbor_atoms, std::array<std::ptrdiff_t, 3> grid, Doubles<2> vectors, Doubles<2> displacements, Ints<1> atoms,
                  Array<double, 2> rows, Array<double, 2> totals) const {
        const nb::gil_scoped_release release;
        const auto n_cells = static_cast<std::ptrdiff_t>(displacements.shape(0) / kinds_.shape(0));
        const SlotAtoms slots = {neighbor_atoms.data(), static_cast<std::ptrdiff_t>(neighbor_atoms.shape(0)),
                                 static_cast<std::ptrdiff_t>(neighbor_atoms.shape(1)), n_cells, grid};
        const LocalFrame frame = {n_cells, slots, vectors.data(), displacements.data()};
        const auto n_atoms = static_cast<std::ptrdiff_t>(atoms.shape(0));
        std::vector<std::int32_t> places(displacements.shape(0), -1);
        const std::vector<std::int32_t> needed = with_neighbors(frame, n_atoms, atoms.data(), places);
        const auto n_needed = static_cast<std::ptrdiff_t>(needed.size());
        AlignedBuffer<double> sums, scratch;
        double* values = sums.reserve(static_cast<std::size_t>(n_needed * sums_stride(design_)));
        std::fill_n(values, n_needed * sums_stride(design_), 0.0);
        double* memory = scratch.reserve(static_cast<std::size_t>(local_scratch_size(design_)));
        kernels_.local_sums(design_, frame, n_needed, needed.data(), values, memory);
        kernels_.local_rows(design_, frame, {places.data(), values}, n_atoms, atoms.data(), rows.data(),
                            totals.shape(0) > 0 ? totals.data() : nullptr, memory);
        std::ptrdiff_t most = 0;
        for (std::ptrdiff_t kind = 0; kind < design_.n_kinds; ++kind) {
            most = std::max(most, design_.quadruples.count(kind));
        }
        if (most == 0) return;
        std::vector<QuadrupleSlopes> slopes(static_cast<std::size_t>(n_needed * most));
        kernels_.quadruple_rows(design_, frame, {places.data(), values}, n_atoms, atoms.data(), n_needed, needed.data(),
                                most, slopes.data(), rows.data(), totals.shape(0) > 0 ? totals.data() : nullptr, memory);
    }

private:
    // Atoms and all that may be their neighbors; their places are noted.
    std::vector<std::int32_t> with_neighbors(const LocalFrame& frame, std::ptrdiff_t n_atoms, const std::int32_t* atoms,
                                             std::vector<std::int32_t>& places) const {
        std::vector<std::int32_t> found;
        const auto note = [&](std::int32_t atom) {
            if (places[atom] >= 0) return;
            places[atom] = static_cast<std::int32_t>(found.size());
            found.push_back(atom);
        };
        for (std::ptrdiff_t k = 0; k < n_atoms; ++k) {
            const std::ptrdiff_t site = atoms[k] / frame.n_cells, cell = atoms[k] % frame.n_cells;
            note(atoms[k]);
            for (std::ptrdiff_t neighbor = design_.starts[site]; neighbor < design_.starts[site + 1]; ++neighbor) {
                note(static_cast<std::int32_t>(frame.neighbor_atoms.atom(neighbor, cell)));
            }
        }
        return found;
    }

    const Kernels& kernels_;
    const Doubles<3> radial_;
    const Ints<1> kinds_, starts_, neighbor_kinds_;
    const Doubles<2> vectors_;
    const Ints<3> functions_;
    const Doubles<2> weights_;
    const Ints<1> quadruple_starts_;
    const Ints<2> quadruples_, couplings_, orders_;
    const Doubles<1> coupling_weights_;
    LocalDesign design_;
};

}  // namespace

void bind_local(nb::module_& module) {
    nb::class_<LocalPlan>(module, "LocalPlan")
        .def(nb::init<const std::string&, std::ptrdiff_t, std::ptrdiff_t, double, Doubles<3>, Ints<1>, Ints<1>, Ints<1>,
                      Doubles<2>, Ints<3>, Doubles<2>, Ints<1>, Ints<2>, Ints<2>, Ints<2>, Doubles<1>>())
        .def("add_rows", &LocalPlan::add_rows);
}

}  // namespace mlff
