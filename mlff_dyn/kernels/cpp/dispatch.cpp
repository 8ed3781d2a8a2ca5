#include "dispatch.hpp"

#include <stdexcept>

namespace mlff {

namespace baseline {
extern const Kernels kernels;
}
#ifdef MLFF_X86
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

std::vector<const Kernels*> available_kernels() {
    std::vector<const Kernels*> found;
#ifdef MLFF_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        found.push_back(&avx512::kernels);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2::kernels);
#endif
    found.push_back(&baseline::kernels);
    return found;
}

const Kernels& find_kernels(const std::string& name) {
    for (const Kernels* kernels : available_kernels()) {
        if (name.empty() || name == kernels->name) return *kernels;
    }
    throw std::invalid_argument("this processor has no kernels called " + name);
}

}  // namespace mlff
