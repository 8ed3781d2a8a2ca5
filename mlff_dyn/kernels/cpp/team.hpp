// A few threads that share the same short task again and again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mlff {

class ThreadTeam {
public:
    explicit ThreadTeam(int n_members) : n_members_(n_members) {
        for (int member = 1; member < n_members_; ++member) threads_.emplace_back([this, member] { serve(member); });
    }

    ~ThreadTeam() {
        is_closing_ = true;
        announce();
        for (std::thread& thread : threads_) thread.join();
    }

    ThreadTeam(const ThreadTeam&) = delete;
    ThreadTeam& operator=(const ThreadTeam&) = delete;

    int n_members() const { return n_members_; }

    // Runs task(member) once on every member, the caller being member 0, and waits for all.
    template <typename Task>
    void run(const Task& task) {
        if (n_members_ == 1) {
            task(0);
            return;
        }
        task_ = [&task](int member) { task(member); };
        n_busy_ = n_members_ - 1;
        announce();
        task(0);
        while (n_busy_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
    }

private:
    static constexpr int kPatience = 20000;  // looks at the round before a thread falls asleep

    void announce() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
    }

    void serve(int member) {
        for (unsigned seen = 0;; ++seen) {
            for (int look = 0; look < kPatience && round_.load(std::memory_order_acquire) == seen; ++look) {
            }
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            if (is_closing_) return;
            task_(member);
            n_busy_.fetch_sub(1, std::memory_order_release);
        }
    }

    int n_members_;
    std::function<void(int)> task_;
    std::atomic<unsigned> round_{0};
    std::atomic<int> n_busy_{0};
    std::atomic<bool> is_closing_{false};
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::thread> threads_;
};

}  // namespace mlff
