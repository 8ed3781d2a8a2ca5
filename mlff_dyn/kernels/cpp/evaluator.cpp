#include "evaluator.hpp"

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <utility>

#include "dispatch.hpp"

namespace mlff {

namespace {

template <typename Real>
ForceFunction<Real> force_function(const std::string& isa) {
    const Kernels& kernels = find_kernels(isa);
    if constexpr (std::is_same_v<Real, double>) {
        return kernels.forces64;
    } else {
        return kernels.forces32;
    }
}

// Cells of a block.
template <typename Real>
std::ptrdiff_t n_lanes(const std::string& isa) {
    return find_kernels(isa).vector_bytes / static_cast<std::ptrdiff_t>(sizeof(Real));
}

template <typename Real>
std::vector<Real> convert(const std::vector<double>& values) {
    return {values.begin(), values.end()};
}

}  // namespace

template <typename Real>
CellEvaluator<Real>::CellEvaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, std::ptrdiff_t n_replicas,
                                   const std::string& isa, int n_threads)
    : ForceEvaluator(n_sites * n_cells, n_replicas, find_kernels(isa).gaussians),
      cell_forces_(force_function<Real>(isa)),
      n_cells_(n_cells),
      layout_(n_cells, n_replicas, n_lanes<Real>(isa)),
      largest_bundle_(layout_.largest_bundle() / layout_.n_lanes),
      team_(n_threads),
      workspaces_(team_.n_members()),
      energies_(cell_energies_.reserve(static_cast<std::size_t>(layout_.size()))),
      harmonic_energies_(static_cast<std::size_t>(n_replicas), 0.0) {}

template <typename Real>
std::vector<std::int32_t> CellEvaluator<Real>::pad(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots) const {
    const std::ptrdiff_t missing = kStride * n_replicas() * n_atoms();
    std::vector<std::int32_t> places(n_slots * layout_.size(), static_cast<std::int32_t>(missing));
    for (std::ptrdiff_t slot = 0; slot < n_slots; ++slot) {
        for (std::ptrdiff_t replica = 0; replica < n_replicas(); ++replica) {
            for (std::ptrdiff_t cell = 0; cell < n_cells_; ++cell) {
                const std::ptrdiff_t lane = layout_.lanes[replica * n_cells_ + cell];
                const std::ptrdiff_t block = lane / layout_.n_lanes;
                const std::ptrdiff_t atom = replica * n_atoms() + slot_atoms[slot * n_cells_ + cell];
                places[(block * n_slots + slot) * layout_.n_lanes + lane % layout_.n_lanes] =
                    static_cast<std::int32_t>(kStride * atom);
            }
        }
    }
    return places;
}

template <typename Real>
void CellEvaluator<Real>::add_program(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots,
                                      std::ptrdiff_t n_lifted_slots, std::ptrdiff_t n_lifted, std::vector<Lift> lifts,
                                      std::vector<Tile> tiles, std::vector<std::int32_t> columns,
                                      const std::vector<double>& coefficients) {
    programs_.push_back({pad(slot_atoms, n_slots), std::move(lifts), std::move(tiles), std::move(columns),
                         convert<Real>(coefficients), {}, {}, {}});
    ProgramData& data = programs_.back();
    data.view = {n_slots,
                 n_lifted_slots,
                 data.places.data(),
                 n_lifted,
                 static_cast<std::ptrdiff_t>(data.lifts.size()),
                 data.lifts.data(),
                 static_cast<std::ptrdiff_t>(data.tiles.size()),
                 data.tiles.data(),
                 data.columns.data(),
                 data.coefficients.data(),
                 0,
                 nullptr};
    const std::ptrdiff_t needed = 2 * n_lifted + 3 * n_slots + 3 * n_lifted_slots * largest_bundle_;
    scratch_vectors_ = std::max(scratch_vectors_, static_cast<std::size_t>(needed));
}

template <typename Real>
void CellEvaluator<Real>::add_site_group(const std::vector<std::int32_t>& home, std::vector<std::int32_t> columns,
                                         const std::vector<double>& coefficients, const std::vector<double>& bias) {
    ProgramData& program = programs_.back();
    program.group_data.push_back({std::move(columns), convert<Real>(coefficients), convert<Real>(bias)});
    const GroupData& data = program.group_data.back();
    SiteGroup<Real> group = {};
    std::copy(home.begin(), home.end(), group.home);
    group.n_sites = static_cast<std::int32_t>(home.size());
    group.n_columns = static_cast<std::int32_t>(data.columns.size());
    group.columns = data.columns.data();
    group.coefficients = data.coefficients.data();
    group.bias = data.bias.data();
    program.groups.push_back(group);
    program.view.n_groups = static_cast<std::ptrdiff_t>(program.groups.size());
    program.view.groups = program.groups.data();
}

template <typename Real>
void CellEvaluator<Real>::work(int member, const Real* u, Real* forces) {
    Workspace& own = workspaces_[member];
    std::fill_n(forces, n_padded(), Real(0));
    const std::vector<std::ptrdiff_t>& bundles = layout_.bundles;
    const std::ptrdiff_t n_members = team_.n_members();
    const std::ptrdiff_t first = layout_.n_bundles() * member / n_members;
    const std::ptrdiff_t last = layout_.n_bundles() * (member + 1) / n_members;
    std::fill(energies_ + bundles[first], energies_ + bundles[last], Real(0));
    void* scratch = own.scratch.reserve(scratch_vectors_ * kMaxBytes);
    for (const ProgramData& program : programs_) {
        for (std::ptrdiff_t k = first; k < last; ++k) {
            cell_forces_(program.view, bundles[k], bundles[k + 1], u, forces, energies_, scratch);
        }
    }
    if (local_) add_local(member, u, forces);
}

template <typename Real>
void CellEvaluator<Real>::set_local(std::unique_ptr<TorusLocal<Real>> local, double energy_at_rest) {
    local_ = std::move(local);
    local_energies_.assign(static_cast<std::size_t>(n_replicas() * local_->n_blocks()), 0.0);
    local_energy_at_rest_ = energy_at_rest;
}

// The share of a member in the blocks of all replicas.
template <typename Real>
void CellEvaluator<Real>::add_local(int member, const Real* u, Real* forces) {
    const std::ptrdiff_t n_blocks = local_->n_blocks(), total = n_replicas() * n_blocks;
    const std::ptrdiff_t last = total * (member + 1) / team_.n_members();
    for (std::ptrdiff_t k = total * member / team_.n_members(); k < last;) {
        const std::ptrdiff_t replica = k / n_blocks, end = std::min(last, (replica + 1) * n_blocks);
        const std::ptrdiff_t atoms = kStride * replica * n_atoms();
        local_->add_forces(k - replica * n_blocks, end - replica * n_blocks, u + atoms, forces + atoms,
                           local_energies_.data() + replica * n_blocks, nullptr, workspaces_[member].scratch);
        k = end;
    }
}

template <typename Real>
void CellEvaluator<Real>::local_virial(const double* u, double* virial) {
    std::fill_n(virial, 9, 0.0);
    if (!local_) return;
    Workspace& own = workspaces_[0];
    local_->add_forces(0, local_->n_blocks(), convert_displacements(u), own.forces.reserve(n_padded()),
                       local_energies_.data(), virial, own.scratch);
}

template <typename Real>
const Real* CellEvaluator<Real>::convert_displacements(const double* u) {
    if constexpr (std::is_same_v<Real, double>) {
        return u;
    } else {
        Real* converted = displacements_.reserve(n_padded());
        for (std::size_t k = 0; k < n_padded(); ++k) converted[k] = static_cast<Real>(u[k]);
        return converted;
    }
}

template <typename Real>
void CellEvaluator<Real>::evaluate(const double* u, double* forces) {
    const Real* own_u = convert_displacements(u);
    std::vector<const Real*> parts(team_.n_members());
    team_.run([&](int member) {
        Real* target = workspaces_[member].forces.reserve(n_padded());
        if constexpr (std::is_same_v<Real, double>) {
            if (member == 0) target = forces;
        }
        parts[member] = target;
        work(member, own_u, target);
    });
    for (int member = 0; member < team_.n_members(); ++member) {
        if constexpr (std::is_same_v<Real, double>) {
            if (member == 0) continue;
        } else if (member == 0) {
            std::copy_n(parts[0], n_padded(), forces);
            continue;
        }
        for (std::size_t k = 0; k < n_padded(); ++k) forces[k] += parts[member][k];
    }
    for (std::ptrdiff_t replica = 0; harmonic_ && replica < n_replicas(); ++replica) {
        const std::ptrdiff_t first = kStride * replica * n_atoms();
        harmonic_energies_[replica] = harmonic_->add_forces(u + first, forces + first);
    }
}

template <typename Real>
double CellEvaluator<Real>::energy(std::ptrdiff_t replica) const {
    double energy = 0.0;
    const std::ptrdiff_t* lanes = layout_.lanes.data() + replica * n_cells_;
    for (std::ptrdiff_t cell = 0; cell < n_cells_; ++cell) energy += static_cast<double>(energies_[lanes[cell]]);
    energy += harmonic_energies_[replica];
    if (!local_) return energy;
    const auto first = local_energies_.begin() + replica * local_->n_blocks();
    return energy + (std::accumulate(first, first + local_->n_blocks(), 0.0) - local_energy_at_rest_);
}

template class CellEvaluator<double>;
template class CellEvaluator<float>;

}  // namespace mlff
