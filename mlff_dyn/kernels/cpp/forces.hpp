// Energy and forces of a range of cells, block by block.
#pragma once

#include "lifts.hpp"
#include "linear.hpp"
#include "pairs.hpp"

namespace mlff::MLFF_ISA {

template <typename Real>
static double cell_forces(const CellProgram<Real>& program, std::ptrdiff_t first, std::ptrdiff_t last, const Real* u,
                          Real* forces, void* scratch) {
    Entry<Real>* entries = static_cast<Entry<Real>*>(scratch);
    Vector3<Real>* slots = reinterpret_cast<Vector3<Real>*>(entries + program.n_lifted);
    const std::ptrdiff_t stride = program.padded_cells;
    double total = 0.0;
    for (std::ptrdiff_t cell = first; cell < last; cell += kLanes<Real>) {
        const std::int32_t* places = program.places + cell;
        for (std::ptrdiff_t slot = 0; slot < program.n_slots; ++slot) {
            slots[slot] = gather(u, places + slot * stride);
        }
        Lanes<Real> linear_energy = {}, energy = {};
        for (std::ptrdiff_t k = 0; k < program.n_groups; ++k) {
            linear_energy += run_group(program.groups[k], slots, places, stride, forces);
        }
        for (std::ptrdiff_t slot = 0; slot < program.n_lifted_slots; ++slot) {
            entries[3 * slot].start(slots[slot].x);
            entries[3 * slot + 1].start(slots[slot].y);
            entries[3 * slot + 2].start(slots[slot].z);
        }
        for (std::ptrdiff_t k = 0; k < program.n_lifts; ++k) lift_forward(program.lifts[k], entries);
        run_tiles(program, entries, energy);
        for (std::ptrdiff_t k = program.n_lifts - 1; k >= 0; --k) lift_reverse(program.lifts[k], entries);
        for (std::ptrdiff_t slot = 0; slot < program.n_lifted_slots; ++slot) {
            const Entry<Real>* entry = entries + 3 * slot;
            scatter_subtract(forces, places + slot * stride,
                             Vector3<Real>{entry[0].adjoint, entry[1].adjoint, entry[2].adjoint});
        }
        total += 0.5 * sum<Real>(linear_energy) + sum<Real>(energy);
    }
    return total;
}

}  // namespace mlff::MLFF_ISA
