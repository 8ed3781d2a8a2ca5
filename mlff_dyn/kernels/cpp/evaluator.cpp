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

constexpr std::size_t kLeastShared = 1 << 16;  // numbers that one thread adds faster than several

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
auto CellEvaluator<Real>::place_on_grid(const SlotAtoms& slot_atoms) const -> std::vector<GridSlot> {
    std::vector<GridSlot> slots;
    const auto [n_x, n_y, n_z] = grid_;
    for (std::ptrdiff_t slot = 0; !slot_atoms.is_table() && slot < slot_atoms.n_slots; ++slot) {
        const std::ptrdiff_t atom = slot_atoms.atoms[slot], cell = atom % n_cells_;
        slots.push_back({static_cast<std::int32_t>(atom - cell), static_cast<std::int32_t>(cell / (n_y * n_z)),
                         static_cast<std::int32_t>(cell / n_z % n_y), static_cast<std::int32_t>(cell % n_z)});
    }
    return slots;
}

template <typename Real>
void CellEvaluator<Real>::work_out_places(const ProgramData& program, std::ptrdiff_t lane,
                                          std::int32_t* places) const {
    const std::int32_t n_lanes = static_cast<std::int32_t>(layout_.n_lanes);
    const std::int32_t n_x = static_cast<std::int32_t>(grid_[0]), n_y = static_cast<std::int32_t>(grid_[1]),
                       n_z = static_cast<std::int32_t>(grid_[2]);
    const std::ptrdiff_t n_whole = n_cells_ / n_lanes * n_lanes;
    const std::int32_t replica = static_cast<std::int32_t>(lane / n_whole * n_atoms());
    for (std::int32_t done = 0; done < n_lanes;) {
        const std::int32_t cell = static_cast<std::int32_t>(lane % n_whole) + done;
        const std::int32_t x = cell / (n_y * n_z), y = cell / n_z % n_y, z = cell % n_z;
        const std::int32_t end = std::min(n_lanes, done + n_z - z);
        std::int32_t* row = places;
        for (const GridSlot& slot : program.grid_slots) {
            const std::int32_t own_x = x + slot.x - (x + slot.x < n_x ? 0 : n_x);
            const std::int32_t own_y = y + slot.y - (y + slot.y < n_y ? 0 : n_y);
            const std::int32_t first = replica + slot.first + (own_x * n_y + own_y) * n_z;
            const std::int32_t shift = z + slot.z - done;
            for (std::int32_t k = done; k < end; ++k) {
                const std::int32_t own_z = shift + k - (shift + k < n_z ? 0 : n_z);
                row[k] = static_cast<std::int32_t>(kStride) * (first + own_z);
            }
            row += n_lanes;
        }
        done = end;
    }
}

template <typename Real>
void CellEvaluator<Real>::store_places(const SlotAtoms& slot_atoms, ProgramData& program) const {
    const std::ptrdiff_t n_slots = slot_atoms.n_slots, n_lanes = layout_.n_lanes, first_lane = program.first_stored;
    const std::int32_t missing = static_cast<std::int32_t>(kStride * n_replicas() * n_atoms());
    program.places.assign(n_slots * (layout_.size() - first_lane), missing);
    for (std::ptrdiff_t replica = 0; replica < n_replicas(); ++replica) {
        for (std::ptrdiff_t cell = 0; cell < n_cells_; ++cell) {
            const std::ptrdiff_t lane = layout_.lanes[replica * n_cells_ + cell] - first_lane;
            for (std::ptrdiff_t slot = 0; lane >= 0 && slot < n_slots; ++slot) {
                program.places[(lane / n_lanes * n_slots + slot) * n_lanes + lane % n_lanes] =
                    static_cast<std::int32_t>(kStride * (replica * n_atoms() + slot_atoms.atom(slot, cell)));
            }
        }
    }
}

template <typename Real>
void CellEvaluator<Real>::add_program(const SlotAtoms& slot_atoms, std::ptrdiff_t n_lifted_slots,
                                      std::ptrdiff_t n_lifted, std::vector<Lift> lifts, std::vector<Tile> tiles,
                                      std::vector<std::int32_t> columns, const std::vector<double>& coefficients) {
    const std::ptrdiff_t n_slots = slot_atoms.n_slots;
    programs_.push_back({place_on_grid(slot_atoms), 0, {}, std::move(lifts), std::move(tiles), std::move(columns),
                         convert<Real>(coefficients), {}, {}, {}});
    ProgramData& data = programs_.back();
    if (!data.grid_slots.empty()) data.first_stored = n_replicas() * (n_cells_ / layout_.n_lanes * layout_.n_lanes);
    store_places(slot_atoms, data);
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
    const std::ptrdiff_t needed = 2 * first_value(data.view, n_slots) + 3 * n_lifted_slots * largest_bundle_;
    scratch_vectors_ = std::max(scratch_vectors_, static_cast<std::size_t>(needed));
}

template <typename Real>
void CellEvaluator<Real>::add_site_group(const std::vector<std::int32_t>& home, std::vector<std::int32_t> columns,
                                         const std::vector<double>& coefficients, const std::vector<double>& bias) {
    ProgramData& program = programs_.back();
    for (std::int32_t& column : columns) column = static_cast<std::int32_t>(first_value(program.view, column));
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
        CellProgram<Real> block = program.view;
        std::int32_t* places = own.places.reserve(static_cast<std::size_t>(block.n_slots * layout_.n_lanes));
        block.places = places;
        for (std::ptrdiff_t k = first; k < last; ++k) {
            const std::ptrdiff_t lane = bundles[k], n_lanes = bundles[k + 1] - lane, stored = program.first_stored;
            if (lane < stored) {
                work_out_places(program, lane, places);
                cell_forces_(block, 0, n_lanes, u, forces, energies_ + lane, scratch);
            } else {
                cell_forces_(program.view, lane - stored, lane - stored + n_lanes, u, forces, energies_ + stored, scratch);
            }
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

// Each member adds its share of all parts, which are the forces already where they are double and the first.
template <typename Real>
void CellEvaluator<Real>::add_up(const std::vector<const Real*>& parts, double* forces) {
    const std::size_t n_members = parts.size();
    const auto add_share = [&](std::size_t member, std::size_t n_shares) {
        const std::size_t first = n_padded() * member / n_shares, last = n_padded() * (member + 1) / n_shares;
        for (std::size_t part = 0; part < n_members; ++part) {
            if constexpr (std::is_same_v<Real, double>) {
                if (part == 0) continue;
            } else if (part == 0) {
                std::copy(parts[0] + first, parts[0] + last, forces + first);
                continue;
            }
            for (std::size_t k = first; k < last; ++k) forces[k] += parts[part][k];
        }
    };
    if (n_padded() < kLeastShared) {
        add_share(0, 1);
    } else {
        team_.run([&](int member) { add_share(static_cast<std::size_t>(member), n_members); });
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
    add_up(parts, forces);
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
