// Rows of the design matrix: derivative monomials are formed along their tree, then added up parameter by parameter.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

MLFF_INLINE Lanes<double> output_sum(const DesignChunk& chunk, std::ptrdiff_t output, const Lanes<double>* nodes) {
    Lanes<double> even = {}, odd = {};
    std::int32_t entry = chunk.output_starts[output];
    const std::int32_t last = chunk.output_starts[output + 1];
    for (; entry + 1 < last; entry += 2) {
        even += broadcast(chunk.entry_factors[entry]) * nodes[chunk.entry_nodes[entry]];
        odd += broadcast(chunk.entry_factors[entry + 1]) * nodes[chunk.entry_nodes[entry + 1]];
    }
    if (entry < last) even += broadcast(chunk.entry_factors[entry]) * nodes[chunk.entry_nodes[entry]];
    return even + odd;
}

// Displacements of the chunk's slots and the monomials for cells from `cell` on; missing cells repeat the first.
MLFF_INLINE void form_nodes(const DesignChunk& chunk, const Supercell& supercell, std::ptrdiff_t cell,
                            Lanes<double>* z, Lanes<double>* nodes) {
    constexpr int n_lanes = kLanes<double>;
    const std::ptrdiff_t filled = supercell.n_cells - cell < n_lanes ? supercell.n_cells - cell : n_lanes;
    for (std::ptrdiff_t slot = 0; slot < chunk.n_slots; ++slot) {
        const std::int32_t* row = supercell.slot_atoms + chunk.slots[slot] * supercell.n_cells + cell;
        std::int32_t places[n_lanes];
        for (int lane = 0; lane < n_lanes; ++lane) places[lane] = kStride * row[lane < filled ? lane : 0];
        const Vector3<double> atom = gather(supercell.u, places);
        z[3 * slot] = atom.x;
        z[3 * slot + 1] = atom.y;
        z[3 * slot + 2] = atom.z;
    }
    if (supercell.moves != nullptr) {
        for (std::ptrdiff_t k = 0; k < 3 * chunk.n_slots; ++k) {
            z[k] += broadcast(supercell.moves[3 * chunk.slots[k / 3] + k % 3]);
        }
    }
    nodes[0] = broadcast(1.0);
    for (std::ptrdiff_t k = 1; k < chunk.n_nodes; ++k) {
        nodes[k] = nodes[chunk.node_parents[k]] * z[chunk.node_variables[k]];
    }
}

// Writes -dE/du per parameter to out[3 * parameter + axis].
static void design_block(const DesignChunk& chunk, const Supercell& supercell, std::ptrdiff_t cell, Lanes<double>* out,
                         Lanes<double>* scratch) {
    Lanes<double>* nodes = scratch + 3 * chunk.n_slots;
    form_nodes(chunk, supercell, cell, scratch, nodes);
    for (std::ptrdiff_t k = 0; k < chunk.n_outputs; ++k) {
        out[3 * chunk.output_parameters[k] + chunk.output_axes[k]] = -output_sum(chunk, k, nodes);
    }
}

}  // namespace mlff::MLFF_ISA
