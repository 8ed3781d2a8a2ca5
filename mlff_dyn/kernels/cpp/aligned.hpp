// A growing scratch buffer of doubles, aligned for the widest vectors.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace mlff {

class AlignedBuffer {
public:
    // At least this many doubles; earlier content is lost when the buffer grows.
    double* reserve(std::size_t count) {
        if (count > capacity_) {
            const std::size_t bytes = (count * sizeof(double) + 63) / 64 * 64;
            data_.reset(static_cast<double*>(std::aligned_alloc(64, bytes)));
            if (!data_) throw std::bad_alloc();
            capacity_ = count;
        }
        return data_.get();
    }

private:
    struct Free {
        void operator()(double* pointer) const { std::free(pointer); }
    };
    std::unique_ptr<double, Free> data_;
    std::size_t capacity_ = 0;
};

}  // namespace mlff
