// Compiled once per instruction set, with MLFF_ISA (a name) and MLFF_LANES (doubles of a vector) defined.
#include "design.hpp"
#include "lifted.hpp"
#include "linear.hpp"

#define MLFF_TEXT_OF(name) #name
#define MLFF_TEXT(name) MLFF_TEXT_OF(name)

namespace mlff::MLFF_ISA {

extern const Kernels kernels;
const Kernels kernels = {MLFF_TEXT(MLFF_ISA), kLanes, linear_forces, lifted_forces, design_rows};

}  // namespace mlff::MLFF_ISA
