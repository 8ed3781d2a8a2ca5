// Plain views of the tables that the kernels read; whoever builds one keeps the arrays alive.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlff {

// Doubles of an atom in the padded arrays of displacements, velocities and forces: x, y, z, 0.
constexpr std::ptrdiff_t kStride = 4;

// Cells are handled in blocks; tables of atoms are padded to a multiple of the largest block.
constexpr std::ptrdiff_t kMaxLanes = 8;

// Orders 1 and 2 for up to three sites of the home cell: gradient = bias + matrix * (components of the columns).
struct SiteGroup {
    std::int32_t home[3];         // row of each site's own atoms in LinearPart::slot_atoms
    std::int32_t n_sites;
    std::int32_t n_columns;       // slots
    const std::int32_t* columns;  // place of the slot in LinearPart::slot_atoms
    const double* coefficients;   // [n_columns][3][3 * n_sites]
    const double* bias;           // [3 * n_sites]
};

struct LinearPart {
    std::ptrdiff_t n_slots;
    const std::int32_t* slot_atoms;  // [n_slots][padded_cells]
    std::ptrdiff_t n_groups;
    const SiteGroup* groups;
};

// Orders 3 and higher: E = sum over tiles, rows r and columns k of coefficient[k][r] * z[r] * z[k].
// The vector z holds the components of the slots, then products made by lifts.
enum LiftKind : std::int32_t { kOuter = 0, kSquare = 1, kCube = 2 };

struct Lift {
    std::int32_t kind;
    std::int32_t first;   // first entry of z that is made
    std::int32_t parent;  // first entry of the factor that is multiplied
    std::int32_t width;   // entries of the parent
    std::int32_t single;  // first of the three components it is multiplied with
};

struct Tile {
    std::int32_t n_rows;     // 1, 3, 6 or 9
    std::int32_t first_row;  // entry of z
    std::int32_t n_columns;
    std::int32_t first_column;       // in LiftedChunk::columns
    std::int32_t first_coefficient;  // [n_columns][n_rows] from here
};

struct LiftedChunk {
    std::ptrdiff_t n_slots;
    const std::int32_t* slot_atoms;  // [n_slots][padded_cells]
    std::ptrdiff_t n_lifted;         // length of z
    std::ptrdiff_t n_lifts;
    const Lift* lifts;
    std::ptrdiff_t n_tiles;
    const Tile* tiles;
    const std::int32_t* columns;
    const double* coefficients;
};

// Rows of the design matrix for the three targets of one site and a range of parameters.
struct DesignChunk {
    std::int32_t site;
    std::ptrdiff_t n_slots;
    const std::int32_t* slots;  // rows of the caller's slot_atoms
    std::ptrdiff_t n_nodes;     // node 0 is the constant 1
    const std::int32_t* node_parents;
    const std::int32_t* node_variables;
    std::ptrdiff_t n_outputs;
    const std::int32_t* output_axes;
    const std::int32_t* output_parameters;
    const std::int32_t* output_starts;  // [n_outputs + 1], entries of each output
    const std::int32_t* entry_nodes;
    const double* entry_factors;
};

// One set of kernels for one instruction set. Scratch is aligned to 64 bytes.
struct Kernels {
    const char* name;
    std::ptrdiff_t lanes;
    // Both subtract dE/du from the padded forces and return the energy.
    double (*linear)(const LinearPart&, std::ptrdiff_t padded_cells, const double* u, double* forces, double* scratch);
    double (*lifted)(const LiftedChunk&, std::ptrdiff_t padded_cells, const double* u, double* forces, double* scratch);
    void (*design)(const DesignChunk&, const std::int32_t* slot_atoms, std::ptrdiff_t n_cells, const double* u,
                   double* design, std::ptrdiff_t n_parameters, double* scratch);
};

}  // namespace mlff
