// Orders 1 and 2, from the target's point of view: nothing is scattered but the result.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

// A recursive struct keeps every accumulator in a register of its own; an array would go to memory.
template <int N>
struct Accumulators {
    Lanes value;
    Accumulators<N - 1> rest;

    MLFF_INLINE_MEMBER void start(const double* bias) {
        value = broadcast(*bias);
        rest.start(bias + 1);
    }
    MLFF_INLINE_MEMBER void add(const double* coefficients, Lanes u) {
        value += broadcast(*coefficients) * u;
        rest.add(coefficients + 1, u);
    }
    MLFF_INLINE_MEMBER void store(Lanes* out) const {
        *out = value;
        rest.store(out + 1);
    }
};

template <>
struct Accumulators<0> {
    MLFF_INLINE_MEMBER void start(const double*) {}
    MLFF_INLINE_MEMBER void add(const double*, Lanes) {}
    MLFF_INLINE_MEMBER void store(Lanes*) const {}
};

template <int Rows>
static void group_gradient(const SiteGroup& group, const Lanes* z, Lanes* gradient) {
    Accumulators<Rows> rows;
    rows.start(group.bias);
    const double* coefficients = group.coefficients;
    for (std::int32_t k = 0; k < group.n_columns; ++k) {
        const Lanes* column = z + 3 * group.columns[k];
        rows.add(coefficients, column[0]);
        rows.add(coefficients + Rows, column[1]);
        rows.add(coefficients + 2 * Rows, column[2]);
        coefficients += 3 * Rows;
    }
    rows.store(gradient);
}

static double linear_forces(const LinearPart& part, std::ptrdiff_t padded_cells, const double* u, double* forces,
                            double* scratch) {
    Lanes* z = reinterpret_cast<Lanes*>(scratch);
    Lanes energy = {};
    for (std::ptrdiff_t cell = 0; cell < padded_cells; cell += kLanes) {
        for (std::ptrdiff_t slot = 0; slot < part.n_slots; ++slot) {
            const Vector3 atom = gather(u, part.slot_atoms + slot * padded_cells + cell);
            z[3 * slot] = atom.x;
            z[3 * slot + 1] = atom.y;
            z[3 * slot + 2] = atom.z;
        }
        for (std::ptrdiff_t index = 0; index < part.n_groups; ++index) {
            const SiteGroup& group = part.groups[index];
            Lanes gradient[9];
            if (group.n_sites == 3) {
                group_gradient<9>(group, z, gradient);
            } else if (group.n_sites == 2) {
                group_gradient<6>(group, z, gradient);
            } else {
                group_gradient<3>(group, z, gradient);
            }
            for (std::int32_t site = 0; site < group.n_sites; ++site) {
                const Lanes* home = z + 3 * group.home[site];
                const Lanes* slope = gradient + 3 * site;
                const double* bias = group.bias + 3 * site;
                for (int axis = 0; axis < 3; ++axis) energy += home[axis] * (slope[axis] + broadcast(bias[axis]));
                scatter_subtract(forces, part.slot_atoms + group.home[site] * padded_cells + cell,
                                 {slope[0], slope[1], slope[2]});
            }
        }
    }
    return 0.5 * sum(energy);
}

}  // namespace mlff::MLFF_ISA
