// Which atom each slot of a table means for each cell of a torus.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mlff {

// A table [n_slots][n_columns]. Fewer columns than cells are one column, that of cell 0: the atoms of the other cells
// follow from the extents of the torus, whose last direction is the fastest.
struct SlotAtoms {
    const std::int32_t* atoms;
    std::ptrdiff_t n_slots, n_columns, n_cells;
    std::array<std::ptrdiff_t, 3> grid;

    bool is_table() const { return n_columns == n_cells; }

    // Always inline: part of kernels for different processors.
    __attribute__((always_inline)) std::ptrdiff_t atom(std::ptrdiff_t slot, std::ptrdiff_t cell) const {
        if (n_columns == n_cells) return atoms[slot * n_cells + cell];
        const std::ptrdiff_t n_y = grid[1], n_z = grid[2], moved = atoms[slot] % n_cells;
        const std::ptrdiff_t x = (cell / (n_y * n_z) + moved / (n_y * n_z)) % grid[0];
        const std::ptrdiff_t y = (cell / n_z + moved / n_z) % n_y, z = (cell + moved) % n_z;
        return atoms[slot] - moved + (x * n_y + y) * n_z + z;
    }
};

}  // namespace mlff
