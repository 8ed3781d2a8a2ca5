// A growing scratch buffer, aligned for the widest vectors.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "tables.hpp"

namespace mlff {

template <typename Value>
class AlignedBuffer {
public:
    // At least this many values; earlier content is lost when the buffer grows.
    Value* reserve(std::size_t count) {
        if (count > capacity_) {
            const std::size_t bytes = (count * sizeof(Value) + kMaxBytes - 1) / kMaxBytes * kMaxBytes;
            data_.reset(static_cast<Value*>(std::aligned_alloc(kMaxBytes, bytes)));
            if (!data_) throw std::bad_alloc();
            capacity_ = count;
        }
        return data_.get();
    }

private:
    struct Free {
        void operator()(Value* pointer) const { std::free(pointer); }
    };
    std::unique_ptr<Value, Free> data_;
    std::size_t capacity_ = 0;
};

}  // namespace mlff
