// Energy and forces of one torus for given coefficients; owns its tables and scratch memory.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "aligned.hpp"
#include "tables.hpp"

namespace mlff {

class ForceEvaluator {
public:
    ForceEvaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, const std::string& isa);

    // Orders 1 and 2: the slots first, then groups of up to three sites.
    void set_linear_slots(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots);
    void add_site_group(const std::vector<std::int32_t>& home, std::vector<std::int32_t> columns,
                        std::vector<double> coefficients, std::vector<double> bias);

    // Orders 3 and higher.
    void add_chunk(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots, std::ptrdiff_t n_lifted,
                   std::vector<Lift> lifts, std::vector<Tile> tiles, std::vector<std::int32_t> columns,
                   std::vector<double> coefficients);

    // Padded arrays of (n_atoms + 1) atoms; the last one stands for missing cells and must stay at zero.
    double evaluate(const double* u, double* forces);

    std::ptrdiff_t n_atoms() const { return n_sites_ * n_cells_; }
    const char* isa() const { return kernels_.name; }

private:
    struct GroupData {
        std::vector<std::int32_t> columns;
        std::vector<double> coefficients, bias;
    };
    struct ChunkData {
        std::vector<std::int32_t> slot_atoms;
        std::vector<Lift> lifts;
        std::vector<Tile> tiles;
        std::vector<std::int32_t> columns;
        std::vector<double> coefficients;
        LiftedChunk view;
    };

    std::vector<std::int32_t> pad(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots) const;

    const Kernels& kernels_;
    std::ptrdiff_t n_sites_, n_cells_, padded_cells_;
    std::vector<std::int32_t> linear_slot_atoms_;
    std::ptrdiff_t n_linear_slots_ = 0;
    std::deque<GroupData> group_data_;
    std::vector<SiteGroup> groups_;
    std::deque<ChunkData> chunks_;
    std::size_t scratch_vectors_ = 0;
    AlignedBuffer scratch_;
};

}  // namespace mlff
