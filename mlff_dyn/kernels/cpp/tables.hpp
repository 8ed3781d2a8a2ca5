// Plain views of the tables that the kernels read; whoever builds one keeps the arrays alive.
#pragma once

#include <cstddef>
#include <cstdint>

#include "harmonic_tables.hpp"
#include "local_tables.hpp"

namespace mlff {

// Numbers of an atom in the padded arrays of displacements, velocities and forces: x, y, z, 0.
constexpr std::ptrdiff_t kStride = 4;

// Widest vector in bytes; scratch memory is aligned to it.
constexpr std::ptrdiff_t kMaxBytes = 64;

// Orders 1 and 2 for up to three sites of the home cell: gradient = bias + matrix * (components of the columns).
template <typename Real>
struct SiteGroup {
    std::int32_t home[3];         // slot of each site's own atom
    std::int32_t n_sites;
    std::int32_t n_columns;
    const std::int32_t* columns;  // first value of each slot
    const Real* coefficients;     // [n_columns][3][3 * n_sites]
    const Real* bias;             // [3 * n_sites]
};

// Orders 3 and higher: E = sum over tiles, rows r and columns k of coefficient[k][r] * value[r] * value[k].
// The values are the components of the slots, then what lifts make: products, or differences single - parent.
enum LiftKind : std::int32_t { kOuter = 0, kSquare = 1, kCube = 2, kDifference = 3 };

struct Lift {
    std::int32_t kind;
    std::int32_t first;   // first value that is made
    std::int32_t parent;  // first value of the factor that is multiplied
    std::int32_t width;   // values of the parent
    std::int32_t single;  // first of the three components it is multiplied with
};

// Pair rows and pair columns are the nine products of two slots, formed by the tile itself.
enum TileKind : std::int32_t { kPlain = 0, kPairRows = 1, kPairColumns = 2 };

struct Tile {
    std::int32_t kind;
    std::int32_t n_rows;      // 1, 3, 6, 9 or 10
    std::int32_t first_row;   // value; of pair rows, first value of the first slot
    std::int32_t second_row;  // of pair rows only, first value of the second slot
    std::int32_t n_columns;
    std::int32_t first_column;       // in CellProgram::columns
    std::int32_t first_coefficient;  // [n_columns][n_rows] from here
};

// What is done for each block of cells.
template <typename Real>
struct CellProgram {
    std::ptrdiff_t n_slots;
    std::ptrdiff_t n_lifted_slots;   // the first ones; the others serve orders 1 and 2 only
    const std::int32_t* places;      // [n_blocks][n_slots][lanes of a block], kStride * atom
    std::ptrdiff_t n_lifted;         // values of lifted slots and of products
    std::ptrdiff_t n_lifts;
    const Lift* lifts;
    std::ptrdiff_t n_tiles;
    const Tile* tiles;
    const std::int32_t* columns;
    const Real* coefficients;
    std::ptrdiff_t n_groups;
    const SiteGroup<Real>* groups;
};

// First of the three values of a slot: those of slots for orders 1 and 2 only come last.
template <typename Real>
static inline std::ptrdiff_t first_value(const CellProgram<Real>& program, std::ptrdiff_t slot) {
    const std::ptrdiff_t further = slot - program.n_lifted_slots;
    return further < 0 ? 3 * slot : program.n_lifted + 3 * further;
}

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

struct DesignTables {
    std::ptrdiff_t n_chunks;
    const DesignChunk* chunks;  // by ascending site
    std::ptrdiff_t n_parameters;
};

// One configuration: padded displacements, and the atom of each slot for each cell.
struct Supercell {
    const std::int32_t* slot_atoms;  // [n_slots][n_cells]
    std::ptrdiff_t n_cells;
    const double* u;
    const double* moves;  // [n_slots][3], what a strain adds to the displacements; nullptr without one
};

// Independent parameters: each column of the reduced rows is a sum of weight * full column. Neighboring columns with
// entries in the same rows form panels of kPanelWidth; others stand alone.
constexpr int kPanelWidth = 4;

// Blocks of cells that a chunk is read for at once.
constexpr std::ptrdiff_t kBlocksTogether = 4;

struct Reduction {
    std::ptrdiff_t n_panels;
    std::ptrdiff_t n_columns;
    const std::int32_t* widths;  // [n_panels]
    const std::int32_t* starts;  // [n_panels + 1]
    const std::int32_t* rows;    // [starts[n_panels]]
    const double* weights;       // panel by panel, row by row
};

// Factor of a covariance, columns padded to groups of eight; rows outside first to last are zero in a group.
struct FactorTable {
    std::ptrdiff_t n_groups;
    const std::int32_t* first_rows;
    const std::int32_t* last_rows;
    const double* values;   // [n_columns][8 * n_groups]
    const double* further;  // [8 * n_groups][3][n_further], added to the product of each atom's rows; nullptr for none
    std::ptrdiff_t n_further;  // atoms, filled up to whole vectors
};

// Subtracts dE/du of a bundle of cells, first to last (multiples of the block), from the padded forces, and adds the
// energy of each cell. The scratch memory holds two vectors for each value, and 3 n_lifted_slots for each block.
template <typename Real>
using ForceFunction = void (*)(const CellProgram<Real>&, std::ptrdiff_t first, std::ptrdiff_t last, const Real* u,
                               Real* forces, Real* energies, void* scratch);

// Standard normal numbers from a key; count is a multiple of kGaussianBlock.
using GaussianFunction = void (*)(std::uint64_t key, std::ptrdiff_t count, double* out);
constexpr std::ptrdiff_t kGaussianBlock = 16;

struct LocalDesign;
struct QuadrupleSlopes;
struct LocalFrame;
struct LocalSums;

// One set of kernels for one instruction set. Scratch is aligned to kMaxBytes.
struct Kernels {
    const char* name;
    std::ptrdiff_t vector_bytes;  // of a block of cells
    ForceFunction<double> forces64;
    ForceFunction<float> forces32;
    GaussianFunction gaussians;
    // Of the atoms of one site.
    void (*variances)(const DesignTables&, const Supercell&, const Reduction&, const FactorTable&, double* variances,
                      void* scratch);
    // Rows in independent parameters: rows[3 * atom + axis][n_columns].
    void (*reduced)(const DesignTables&, const Supercell&, const Reduction&, double* rows, void* scratch);
    // Adds to rows[6][n_parameters] for displacements moves[6][n_slots][3] of the slots per unit strain.
    void (*stress)(const DesignChunk&, const Supercell&, const double* moves, std::ptrdiff_t n_slots, double* rows,
                   std::ptrdiff_t n_parameters, void* scratch);
    // Adds to sums[n_atoms], and to rows[3 * n_atoms][n_functions] and totals[kTotalRows][n_functions] or nullptr.
    void (*local_sums)(const LocalDesign&, const LocalFrame&, std::ptrdiff_t n_atoms, const std::int32_t* atoms,
                       double* sums, void* scratch);
    void (*local_rows)(const LocalDesign&, const LocalFrame&, const LocalSums&, std::ptrdiff_t n_atoms,
                       const std::int32_t* atoms, double* rows, double* totals, void* scratch);
    // The same for products of three sums, with memory for most of them of each atom that has sums.
    void (*quadruple_rows)(const LocalDesign&, const LocalFrame&, const LocalSums&, std::ptrdiff_t n_atoms,
                           const std::int32_t* atoms, std::ptrdiff_t n_needed, const std::int32_t* needed,
                           std::ptrdiff_t most, QuadrupleSlopes* slopes, double* rows, double* totals, void* scratch);
    HarmonicFunction<double> harmonic64;
    HarmonicFunction<float> harmonic32;
    LocalFunction<double> local64;
    LocalFunction<float> local32;
};

}  // namespace mlff
