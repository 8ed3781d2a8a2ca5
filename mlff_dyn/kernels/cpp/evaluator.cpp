#include "evaluator.hpp"

#include <algorithm>
#include <utility>

#include "dispatch.hpp"

namespace mlff {

ForceEvaluator::ForceEvaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, const std::string& isa)
    : kernels_(find_kernels(isa)),
      n_sites_(n_sites),
      n_cells_(n_cells),
      padded_cells_((n_cells + kMaxLanes - 1) / kMaxLanes * kMaxLanes) {}

std::vector<std::int32_t> ForceEvaluator::pad(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots) const {
    std::vector<std::int32_t> padded(n_slots * padded_cells_, static_cast<std::int32_t>(n_atoms()));
    for (std::ptrdiff_t slot = 0; slot < n_slots; ++slot) {
        std::copy_n(slot_atoms + slot * n_cells_, n_cells_, padded.begin() + slot * padded_cells_);
    }
    return padded;
}

void ForceEvaluator::set_linear_slots(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots) {
    linear_slot_atoms_ = pad(slot_atoms, n_slots);
    n_linear_slots_ = n_slots;
    scratch_vectors_ = std::max(scratch_vectors_, static_cast<std::size_t>(3 * n_slots));
}

void ForceEvaluator::add_site_group(const std::vector<std::int32_t>& home, std::vector<std::int32_t> columns,
                                    std::vector<double> coefficients, std::vector<double> bias) {
    group_data_.push_back({std::move(columns), std::move(coefficients), std::move(bias)});
    const GroupData& data = group_data_.back();
    SiteGroup group = {};
    std::copy(home.begin(), home.end(), group.home);
    group.n_sites = static_cast<std::int32_t>(home.size());
    group.n_columns = static_cast<std::int32_t>(data.columns.size());
    group.columns = data.columns.data();
    group.coefficients = data.coefficients.data();
    group.bias = data.bias.data();
    groups_.push_back(group);
}

void ForceEvaluator::add_chunk(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots, std::ptrdiff_t n_lifted,
                               std::vector<Lift> lifts, std::vector<Tile> tiles, std::vector<std::int32_t> columns,
                               std::vector<double> coefficients) {
    chunks_.push_back({pad(slot_atoms, n_slots), std::move(lifts), std::move(tiles), std::move(columns),
                       std::move(coefficients), {}});
    ChunkData& data = chunks_.back();
    data.view = {n_slots,
                 data.slot_atoms.data(),
                 n_lifted,
                 static_cast<std::ptrdiff_t>(data.lifts.size()),
                 data.lifts.data(),
                 static_cast<std::ptrdiff_t>(data.tiles.size()),
                 data.tiles.data(),
                 data.columns.data(),
                 data.coefficients.data()};
    scratch_vectors_ = std::max(scratch_vectors_, static_cast<std::size_t>(2 * n_lifted));
}

double ForceEvaluator::evaluate(const double* u, double* forces) {
    double* scratch = scratch_.reserve(scratch_vectors_ * kMaxLanes);
    std::fill_n(forces, kStride * (n_atoms() + 1), 0.0);
    const LinearPart linear = {n_linear_slots_, linear_slot_atoms_.data(),
                               static_cast<std::ptrdiff_t>(groups_.size()), groups_.data()};
    double energy = 0.0;
    if (!groups_.empty()) energy += kernels_.linear(linear, padded_cells_, u, forces, scratch);
    for (const ChunkData& chunk : chunks_) {
        energy += kernels_.lifted(chunk.view, padded_cells_, u, forces, scratch);
    }
    return energy;
}

}  // namespace mlff
