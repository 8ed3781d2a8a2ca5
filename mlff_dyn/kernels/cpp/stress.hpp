// Rows of the derivative of the energy with respect to strain; the equations are in strain.py.
#pragma once

#include "rows.hpp"

namespace mlff::MLFF_ISA {

constexpr int kStrains = 6;

// Derivatives of the monomials when each variable moves by its entry of moves.
MLFF_INLINE void form_slopes(const DesignChunk& chunk, const double* moves, const Lanes<double>* z,
                             const Lanes<double>* nodes, Lanes<double>* slopes) {
    slopes[0] = Lanes<double>{};
    for (std::ptrdiff_t k = 1; k < chunk.n_nodes; ++k) {
        const std::int32_t parent = chunk.node_parents[k], variable = chunk.node_variables[k];
        const double move = moves[3 * chunk.slots[variable / 3] + variable % 3];
        slopes[k] = slopes[parent] * z[variable] + nodes[parent] * broadcast(move);
    }
}

// Displacements of the site's own atoms, zero for missing cells.
MLFF_INLINE Vector3<double> home_displacements(const DesignChunk& chunk, const Supercell& supercell,
                                               std::ptrdiff_t cell) {
    Vector3<double> home = {};
    for (std::ptrdiff_t lane = 0; lane < kLanes<double> && cell + lane < supercell.n_cells; ++lane) {
        const double* atom = supercell.u + kStride * (chunk.site * supercell.n_cells + cell + lane);
        home.x[lane] = atom[0];
        home.y[lane] = atom[1];
        home.z[lane] = atom[2];
    }
    return home;
}

// Adds sum_i u_i d(dE/du_i)/d(strain) to rows[strain][parameter]; moves is [6][n_slots][3] over all slots.
static void stress_rows(const DesignChunk& chunk, const Supercell& supercell, const double* moves,
                        std::ptrdiff_t n_slots, double* rows, std::ptrdiff_t n_parameters, void* scratch) {
    Lanes<double>* z = static_cast<Lanes<double>*>(scratch);
    Lanes<double>* nodes = z + 3 * chunk.n_slots;
    Lanes<double>* slopes = nodes + chunk.n_nodes;
    for (std::ptrdiff_t cell = 0; cell < supercell.n_cells; cell += kLanes<double>) {
        form_nodes(chunk, supercell, cell, z, nodes);
        const Vector3<double> home = home_displacements(chunk, supercell, cell);
        for (int strain = 0; strain < kStrains; ++strain) {
            form_slopes(chunk, moves + strain * 3 * n_slots, z, nodes, slopes);
            double* row = rows + strain * n_parameters;
            for (std::ptrdiff_t k = 0; k < chunk.n_outputs; ++k) {
                const std::int32_t axis = chunk.output_axes[k];
                const Lanes<double> u = axis == 0 ? home.x : axis == 1 ? home.y : home.z;
                row[chunk.output_parameters[k]] += add_lanes<double>(u * output_sum(chunk, k, slopes));
            }
        }
    }
}

}  // namespace mlff::MLFF_ISA
