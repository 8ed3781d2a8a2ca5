#include "evaluator.hpp"

#include <algorithm>
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

template <typename Real>
std::vector<Real> convert(const std::vector<double>& values) {
    return {values.begin(), values.end()};
}

}  // namespace

template <typename Real>
CellEvaluator<Real>::CellEvaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, const std::string& isa,
                                   int n_threads)
    : ForceEvaluator(n_sites * n_cells, find_kernels(isa).gaussians),
      cell_forces_(force_function<Real>(isa)),
      n_cells_(n_cells),
      padded_cells_((n_cells + kMaxLanes - 1) / kMaxLanes * kMaxLanes),
      team_(n_threads),
      workspaces_(team_.n_members()) {}

template <typename Real>
std::vector<std::int32_t> CellEvaluator<Real>::pad(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots) const {
    std::vector<std::int32_t> padded(n_slots * padded_cells_, static_cast<std::int32_t>(n_atoms()));
    for (std::ptrdiff_t slot = 0; slot < n_slots; ++slot) {
        std::copy_n(slot_atoms + slot * n_cells_, n_cells_, padded.begin() + slot * padded_cells_);
    }
    for (std::int32_t& atom : padded) atom *= static_cast<std::int32_t>(kStride);
    return padded;
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
                 padded_cells_,
                 n_lifted,
                 static_cast<std::ptrdiff_t>(data.lifts.size()),
                 data.lifts.data(),
                 static_cast<std::ptrdiff_t>(data.tiles.size()),
                 data.tiles.data(),
                 data.columns.data(),
                 data.coefficients.data(),
                 0,
                 nullptr};
    scratch_vectors_ = std::max(scratch_vectors_, static_cast<std::size_t>(2 * n_lifted + 3 * n_slots));
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
    const std::ptrdiff_t n_blocks = padded_cells_ / kMaxLanes, n_members = team_.n_members();
    const std::ptrdiff_t first = n_blocks * member / n_members * kMaxLanes;
    const std::ptrdiff_t last = std::min(n_blocks * (member + 1) / n_members * kMaxLanes, n_cells_);
    void* scratch = own.scratch.reserve(scratch_vectors_ * kMaxBytes);
    own.energy = 0.0;
    for (const ProgramData& program : programs_) own.energy += cell_forces_(program.view, first, last, u, forces, scratch);
}

template <typename Real>
double CellEvaluator<Real>::evaluate(const double* u, double* forces) {
    const Real* own_u = nullptr;
    if constexpr (std::is_same_v<Real, double>) {
        own_u = u;
    } else {
        Real* converted = displacements_.reserve(n_padded());
        for (std::size_t k = 0; k < n_padded(); ++k) converted[k] = static_cast<Real>(u[k]);
        own_u = converted;
    }
    std::vector<const Real*> parts(team_.n_members());
    team_.run([&](int member) {
        Real* target = workspaces_[member].forces.reserve(n_padded());
        if constexpr (std::is_same_v<Real, double>) {
            if (member == 0) target = forces;
        }
        parts[member] = target;
        work(member, own_u, target);
    });
    double energy = 0.0;
    for (const Workspace& workspace : workspaces_) energy += workspace.energy;
    for (int member = 0; member < team_.n_members(); ++member) {
        if constexpr (std::is_same_v<Real, double>) {
            if (member == 0) continue;
        } else if (member == 0) {
            std::copy_n(parts[0], n_padded(), forces);
            continue;
        }
        for (std::size_t k = 0; k < n_padded(); ++k) forces[k] += parts[member][k];
    }
    if (harmonic_) energy += harmonic_->add_forces(u, forces);
    return energy;
}

template class CellEvaluator<double>;
template class CellEvaluator<float>;

}  // namespace mlff
