// Energy and forces of a bundle of cells, block by block.
#pragma once

#include "lifts.hpp"
#include "linear.hpp"
#include "pairs.hpp"

namespace mlff::MLFF_ISA {

// Energy of one block; the gradient of orders 1 and 2 is scattered, that of the others is left in the entries.
template <typename Real>
MLFF_INLINE Lanes<Real> run_block(const CellProgram<Real>& program, const std::int32_t* places, const Real* u,
                                  Real* forces, Entry<Real>* entries) {
    for (std::ptrdiff_t slot = 0; slot < program.n_slots; ++slot) {
        const Vector3<Real> displacement = gather(u, places + slot * kLanes<Real>);
        Entry<Real>* own = entries + first_value(program, slot);
        own[0].start(displacement.x);
        own[1].start(displacement.y);
        own[2].start(displacement.z);
    }
    Lanes<Real> linear_energy = {}, energy = {};
    for (std::ptrdiff_t k = 0; k < program.n_groups; ++k) {
        linear_energy += run_group(program, program.groups[k], entries, places, forces);
    }
    for (std::ptrdiff_t k = 0; k < program.n_lifts; ++k) lift_forward(program.lifts[k], entries);
    run_tiles(program, entries, energy);
    for (std::ptrdiff_t k = program.n_lifts - 1; k >= 0; --k) lift_reverse(program.lifts[k], entries);
    return broadcast(Real(0.5)) * linear_energy + energy;
}

template <typename Real>
MLFF_INLINE Vector3<Real> slot_gradient(const Entry<Real>* entries, std::ptrdiff_t slot) {
    const Entry<Real>* entry = entries + 3 * slot;
    return {entry[0].adjoint, entry[1].adjoint, entry[2].adjoint};
}

// A single block scatters at once, which is faster than to hold the gradients of several.
template <typename Real>
static void cell_forces(const CellProgram<Real>& program, std::ptrdiff_t first, std::ptrdiff_t last, const Real* u,
                        Real* forces, Real* energies, void* scratch) {
    Entry<Real>* entries = static_cast<Entry<Real>*>(scratch);
    Vector3<Real>* const held = reinterpret_cast<Vector3<Real>*>(entries + first_value(program, program.n_slots));
    const std::ptrdiff_t n_lifted_slots = program.n_lifted_slots;
    Vector3<Real>* next = held;
    for (std::ptrdiff_t cell = first; cell < last; cell += kLanes<Real>) {
        const std::int32_t* places = program.places + cell * program.n_slots;
        *reinterpret_cast<Lanes<Real>*>(energies + cell) += run_block(program, places, u, forces, entries);
        if (last - first == kLanes<Real>) {
            for (std::ptrdiff_t slot = 0; slot < n_lifted_slots; ++slot) {
                scatter_subtract(forces, places + slot * kLanes<Real>, slot_gradient(entries, slot));
            }
            return;
        }
        for (std::ptrdiff_t slot = 0; slot < n_lifted_slots; ++slot) *next++ = slot_gradient(entries, slot);
    }
    for (std::ptrdiff_t slot = 0; slot < n_lifted_slots; ++slot) {
        const Vector3<Real>* gradient = held + slot;
        for (std::ptrdiff_t cell = first; cell < last; cell += kLanes<Real>, gradient += n_lifted_slots) {
            const std::int32_t* places = program.places + cell * program.n_slots + slot * kLanes<Real>;
            scatter_subtract(forces, places, *gradient);
        }
    }
}

}  // namespace mlff::MLFF_ISA
