// Compiled once per instruction set, with MLFF_ISA (a name) and MLFF_BYTES (bytes of a vector) defined.
#include "forces.hpp"
#include "gaussians.hpp"
#include "local_forces.hpp"
#include "local_quadruples.hpp"
#include "local_rows.hpp"
#include "stress.hpp"
#include "torus_product.hpp"

#define MLFF_TEXT_OF(name) #name
#define MLFF_TEXT(name) MLFF_TEXT_OF(name)

namespace mlff::MLFF_ISA {

extern const Kernels kernels;
const Kernels kernels = {MLFF_TEXT(MLFF_ISA),
                         MLFF_BYTES,
                         cell_forces<double>,
                         cell_forces<float>,
                         fill_gaussians,
                         row_variances,
                         reduced_rows,
                         stress_rows,
                         local_sums,
                         local_rows,
                         quadruple_rows,
                         harmonic_forces<double>,
                         harmonic_forces<float>,
                         local_forces<double>,
                         local_forces<float>};

}  // namespace mlff::MLFF_ISA
