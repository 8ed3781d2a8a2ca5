// Orders 1 and 2, from the target's point of view: nothing is scattered but the result.
#pragma once

#include "lifted.hpp"

namespace mlff::MLFF_ISA {

// A recursive struct keeps every accumulator in a register of its own; an array would go to memory.
template <typename Real, int N>
struct Accumulators {
    Lanes<Real> value;
    Accumulators<Real, N - 1> rest;

    MLFF_INLINE_MEMBER void start(const Real* bias) {
        value = broadcast(*bias);
        rest.start(bias + 1);
    }
    MLFF_INLINE_MEMBER void add(const Real* coefficients, Lanes<Real> u) {
        value += broadcast(*coefficients) * u;
        rest.add(coefficients + 1, u);
    }
    MLFF_INLINE_MEMBER void store(Lanes<Real>* out) const {
        *out = value;
        rest.store(out + 1);
    }
};

template <typename Real>
struct Accumulators<Real, 0> {
    MLFF_INLINE_MEMBER void start(const Real*) {}
    MLFF_INLINE_MEMBER void add(const Real*, Lanes<Real>) {}
    MLFF_INLINE_MEMBER void store(Lanes<Real>*) const {}
};

template <typename Real, int Rows>
static void group_gradient(const SiteGroup<Real>& group, const Entry<Real>* entries, Lanes<Real>* gradient) {
    Accumulators<Real, Rows> rows;
    rows.start(group.bias);
    const Real* coefficients = group.coefficients;
    for (std::int32_t k = 0; k < group.n_columns; ++k) {
        const Entry<Real>* column = entries + group.columns[k];
        rows.add(coefficients, column[0].value);
        rows.add(coefficients + Rows, column[1].value);
        rows.add(coefficients + 2 * Rows, column[2].value);
        coefficients += 3 * Rows;
    }
    rows.store(gradient);
}

// Twice the energy of one group; its gradient is scattered.
template <typename Real>
MLFF_INLINE Lanes<Real> run_group(const CellProgram<Real>& program, const SiteGroup<Real>& group,
                                  const Entry<Real>* entries, const std::int32_t* places, Real* forces) {
    Lanes<Real> gradient[9];
    if (group.n_sites == 3) {
        group_gradient<Real, 9>(group, entries, gradient);
    } else if (group.n_sites == 2) {
        group_gradient<Real, 6>(group, entries, gradient);
    } else {
        group_gradient<Real, 3>(group, entries, gradient);
    }
    Lanes<Real> energy = {};
    for (std::int32_t site = 0; site < group.n_sites; ++site) {
        const Entry<Real>* home = entries + first_value(program, group.home[site]);
        const Lanes<Real>* slope = gradient + 3 * site;
        const Real* bias = group.bias + 3 * site;
        energy += home[0].value * (slope[0] + broadcast(bias[0])) + home[1].value * (slope[1] + broadcast(bias[1])) +
                  home[2].value * (slope[2] + broadcast(bias[2]));
        scatter_subtract(forces, places + group.home[site] * kLanes<Real>,
                         Vector3<Real>{slope[0], slope[1], slope[2]});
    }
    return energy;
}

}  // namespace mlff::MLFF_ISA
