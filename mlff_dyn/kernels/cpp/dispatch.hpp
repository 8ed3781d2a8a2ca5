// Choice of the instruction set.
#pragma once

#include <string>
#include <vector>

#include "tables.hpp"

namespace mlff {

// Kernels that this processor can run, best first.
std::vector<const Kernels*> available_kernels();

// Kernels by name; the best ones if the name is empty. Throws std::invalid_argument if they are not available.
const Kernels& find_kernels(const std::string& name);

}  // namespace mlff
