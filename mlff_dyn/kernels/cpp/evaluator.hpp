// Energy and forces of replicas of one torus for given coefficients; owns its tables and scratch memory.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "aligned.hpp"
#include "harmonic.hpp"
#include "lane_layout.hpp"
#include "local.hpp"
#include "slot_atoms.hpp"
#include "tables.hpp"
#include "team.hpp"

namespace mlff {

class ForceEvaluator {
public:
    virtual ~ForceEvaluator() = default;

    // Padded arrays of (n_replicas * n_atoms + 1) atoms, aligned to kMaxBytes; the last atom stands for missing cells
    // and its displacement must be zero.
    virtual void evaluate(const double* u, double* forces) = 0;

    // Potential energy of a replica at the displacements that were evaluated last.
    virtual double energy(std::ptrdiff_t replica) const = 0;

    std::ptrdiff_t n_atoms() const { return n_atoms_; }  // of a replica
    std::ptrdiff_t n_replicas() const { return n_replicas_; }
    GaussianFunction gaussians() const { return gaussians_; }
    std::size_t n_padded() const { return static_cast<std::size_t>(kStride * (n_replicas_ * n_atoms_ + 1)); }

protected:
    ForceEvaluator(std::ptrdiff_t n_atoms, std::ptrdiff_t n_replicas, GaussianFunction gaussians)
        : n_atoms_(n_atoms), n_replicas_(n_replicas), gaussians_(gaussians) {}

    std::ptrdiff_t n_atoms_, n_replicas_;
    GaussianFunction gaussians_;
};

template <typename Real>
class CellEvaluator : public ForceEvaluator {
public:
    CellEvaluator(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, std::ptrdiff_t n_replicas, const std::string& isa,
                  int n_threads);

    // Extents of the torus; needed where programs are given the slots of cell 0 alone.
    void set_grid(std::ptrdiff_t d1, std::ptrdiff_t d2, std::ptrdiff_t d3) { grid_ = {d1, d2, d3}; }

    // A table of all cells, or of cell 0 alone, on this torus.
    SlotAtoms slots(const std::int32_t* atoms, std::ptrdiff_t n_slots, std::ptrdiff_t n_columns) const {
        return {atoms, n_slots, n_columns, n_cells_, grid_};
    }

    // Orders 3 and higher, and the slots for orders 1 and 2, which may be empty for all programs but the first.
    void add_program(const SlotAtoms& slot_atoms, std::ptrdiff_t n_lifted_slots, std::ptrdiff_t n_lifted,
                     std::vector<Lift> lifts, std::vector<Tile> tiles, std::vector<std::int32_t> columns,
                     const std::vector<double>& coefficients);

    // Orders 1 and 2 of up to three sites, added to the last program.
    void add_site_group(const std::vector<std::int32_t>& home, std::vector<std::int32_t> columns,
                        const std::vector<double>& coefficients, const std::vector<double>& bias);

    void set_harmonic(std::unique_ptr<TorusHarmonic<Real>> harmonic) { harmonic_ = std::move(harmonic); }

    // Measured from an energy at rest.
    void set_local(std::unique_ptr<TorusLocal<Real>> local, double energy_at_rest);

    void evaluate(const double* u, double* forces) override;
    double energy(std::ptrdiff_t replica) const override;

    // Derivative of the local part by the strain of its vectors, row by row; of the first replica.
    void local_virial(const double* u, double* virial);

private:
    struct GroupData {
        std::vector<std::int32_t> columns;
        std::vector<Real> coefficients, bias;
    };
    // An atom of cell 0 on the grid.
    struct GridSlot {
        std::int32_t first;  // atom of its site in the first cell
        std::int32_t x, y, z;
    };
    struct ProgramData {
        std::vector<GridSlot> grid_slots;
        std::ptrdiff_t first_stored;  // lane; the places of those before are worked out block by block
        std::vector<std::int32_t> places;
        std::vector<Lift> lifts;
        std::vector<Tile> tiles;
        std::vector<std::int32_t> columns;
        std::vector<Real> coefficients;
        std::deque<GroupData> group_data;
        std::vector<SiteGroup<Real>> groups;
        CellProgram<Real> view;
    };
    // What one thread writes to.
    struct Workspace {
        AlignedBuffer<char> scratch;
        AlignedBuffer<Real> forces;
        AlignedBuffer<std::int32_t> places;
    };

    std::vector<GridSlot> place_on_grid(const SlotAtoms& slot_atoms) const;
    void store_places(const SlotAtoms& slot_atoms, ProgramData& program) const;
    void work_out_places(const ProgramData& program, std::ptrdiff_t lane, std::int32_t* places) const;
    void add_up(const std::vector<const Real*>& parts, double* forces);
    const Real* convert_displacements(const double* u);
    void work(int member, const Real* u, Real* forces);
    void add_local(int member, const Real* u, Real* forces);

    ForceFunction<Real> cell_forces_;
    std::ptrdiff_t n_cells_;
    std::array<std::ptrdiff_t, 3> grid_ = {};
    LaneLayout layout_;
    std::ptrdiff_t largest_bundle_;  // blocks
    std::deque<ProgramData> programs_;
    std::size_t scratch_vectors_ = 0;
    ThreadTeam team_;
    std::vector<Workspace> workspaces_;
    AlignedBuffer<Real> displacements_, cell_energies_;
    Real* energies_;  // of the cell in each lane
    std::vector<double> harmonic_energies_;
    std::unique_ptr<TorusHarmonic<Real>> harmonic_;
    std::unique_ptr<TorusLocal<Real>> local_;
    std::vector<double> local_energies_;  // of each block of each replica
    double local_energy_at_rest_ = 0.0;
};

}  // namespace mlff
