// Energy and forces of replicas of one torus for given coefficients; owns its tables and scratch memory.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "aligned.hpp"
#include "harmonic.hpp"
#include "lane_layout.hpp"
#include "local.hpp"
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

    // Orders 3 and higher, and the slots for orders 1 and 2, which may be empty for all programs but the first.
    void add_program(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots, std::ptrdiff_t n_lifted_slots,
                     std::ptrdiff_t n_lifted, std::vector<Lift> lifts, std::vector<Tile> tiles,
                     std::vector<std::int32_t> columns, const std::vector<double>& coefficients);

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
    struct ProgramData {
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
    };

    std::vector<std::int32_t> pad(const std::int32_t* slot_atoms, std::ptrdiff_t n_slots) const;
    const Real* convert_displacements(const double* u);
    void work(int member, const Real* u, Real* forces);
    void add_local(int member, const Real* u, Real* forces);

    ForceFunction<Real> cell_forces_;
    std::ptrdiff_t n_cells_;
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
