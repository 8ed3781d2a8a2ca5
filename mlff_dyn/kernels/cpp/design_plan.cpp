// Python face of the rows of the design matrix and of what is made from them. Shapes are checked in compiled.py.
#include <nanobind/stl/string.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "aligned.hpp"
#include "arrays.hpp"
#include "dispatch.hpp"

namespace mlff {
namespace {

// Tables of the design matrix; the arrays are kept alive here.
class DesignPlan {
public:
    DesignPlan(const std::string& isa, std::ptrdiff_t n_parameters)
        : kernels_(find_kernels(isa)), n_parameters_(n_parameters) {}

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

    // Variances of the force components of the atoms of a site, for a factor of the covariance whose columns are padded to
    // groups of eight. The products of further rows with further parameters, if there are any, are [column][axis][atom].
    void fill_variances(Ints<2> slot_atoms, Doubles<2> displacements, Doubles<2> moves, std::int32_t site,
                        Ints<1> widths, Ints<1> starts, Ints<1> rows, Doubles<1> weights, Doubles<2> factor,
                        Ints<1> first_rows, Ints<1> last_rows, Doubles<3> further, Array<double, 2> variances) const {
        const nb::gil_scoped_release release;
        const Reduction reduction = reduce(widths, starts, rows, weights);
        const FactorTable table = {static_cast<std::ptrdiff_t>(first_rows.shape(0)),
                                   first_rows.data(),
                                   last_rows.data(),
                                   factor.data(),
                                   further.shape(0) > 0 ? further.data() : nullptr,
                                   static_cast<std::ptrdiff_t>(further.shape(2))};
        Workplace place(slot_atoms, displacements, moves, scratch_vectors_ + reduced_vectors(reduction));
        kernels_.variances(tables(site, site + 1), place.supercell, reduction, table, variances.data(), place.scratch);
    }

    // Fills the rows in independent parameters.
    void fill_reduced(Ints<2> slot_atoms, Doubles<2> displacements, Doubles<2> moves, Ints<1> widths, Ints<1> starts,
                      Ints<1> rows, Doubles<1> weights, Array<double, 2> reduced) const {
        const nb::gil_scoped_release release;
        const Reduction reduction = reduce(widths, starts, rows, weights);
        Workplace place(slot_atoms, displacements, moves, scratch_vectors_ + reduced_vectors(reduction));
        kernels_.reduced(tables(), place.supercell, reduction, reduced.data(), place.scratch);
    }

    // Adds to the rows of the derivative with respect to six strains, which move the slots by `directions`.
    void add_stress(Ints<2> slot_atoms, Doubles<2> displacements, Doubles<2> moves, Doubles<3> directions,
                    Array<double, 2> rows) const {
        const nb::gil_scoped_release release;
        std::ptrdiff_t n_nodes = 0;
        for (const DesignChunk& chunk : chunks_) n_nodes = std::max(n_nodes, chunk.n_nodes);
        Workplace place(slot_atoms, displacements, moves, scratch_vectors_ + n_nodes);
        for (const DesignChunk& chunk : chunks_) {
            kernels_.stress(chunk, place.supercell, directions.data(), static_cast<std::ptrdiff_t>(directions.shape(1)),
                            rows.data(), n_parameters_, place.scratch);
        }
    }

private:
    struct Workplace {
        // Moves have no rows where there is no strain.
        Workplace(const Ints<2>& slot_atoms, const Doubles<2>& displacements, const Doubles<2>& moves,
                  std::ptrdiff_t n_vectors) {
            double* u = padded.reserve(kStride * (displacements.shape(0) + 1));
            pad_atoms(displacements.data(), static_cast<std::ptrdiff_t>(displacements.shape(0)), u);
            supercell = {slot_atoms.data(), static_cast<std::ptrdiff_t>(slot_atoms.shape(1)), u,
                         moves.shape(0) > 0 ? moves.data() : nullptr};
            scratch = buffer.reserve(static_cast<std::size_t>(n_vectors * kMaxBytes));
        }

        AlignedBuffer<double> padded;
        AlignedBuffer<char> buffer;
        Supercell supercell;
        void* scratch;
    };

    DesignTables tables() const {
        return {static_cast<std::ptrdiff_t>(chunks_.size()), chunks_.data(), n_parameters_};
    }

    // Chunks of the sites first to last.
    DesignTables tables(std::int32_t first, std::int32_t last) const {
        const auto before = [](const DesignChunk& chunk, std::int32_t site) { return chunk.site < site; };
        const auto begin = std::lower_bound(chunks_.begin(), chunks_.end(), first, before);
        const auto end = std::lower_bound(begin, chunks_.end(), last, before);
        return {end - begin, chunks_.data() + (begin - chunks_.begin()), n_parameters_};
    }

    static Reduction reduce(const Ints<1>& widths, const Ints<1>& starts, const Ints<1>& rows,
                            const Doubles<1>& weights) {
        const auto n_panels = static_cast<std::ptrdiff_t>(widths.shape(0));
        return {n_panels, std::accumulate(widths.data(), widths.data() + n_panels, std::ptrdiff_t{0}), widths.data(),
                starts.data(), rows.data(), weights.data()};
    }

    // Rows in all parameters of the blocks that are made together, and in independent ones of one.
    std::ptrdiff_t reduced_vectors(const Reduction& reduction) const {
        return 3 * (kBlocksTogether * n_parameters_ + reduction.n_columns);
    }

    const Kernels& kernels_;
    std::ptrdiff_t n_parameters_;
    std::vector<DesignChunk> chunks_;
    std::vector<Ints<1>> kept_ints_;
    std::vector<Doubles<1>> kept_doubles_;
    std::ptrdiff_t scratch_vectors_ = 0;
};

}  // namespace

void bind_design(nb::module_& module) {
    using namespace nb::literals;
    nb::class_<DesignPlan>(module, "DesignPlan")
        .def(nb::init<const std::string&, std::ptrdiff_t>(), "isa"_a, "n_parameters"_a)
        .def("add_chunk", &DesignPlan::add_chunk)
        .def("fill_reduced", &DesignPlan::fill_reduced)
        .def("fill_variances", &DesignPlan::fill_variances)
        .def("add_stress", &DesignPlan::add_stress);
}

}  // namespace mlff
