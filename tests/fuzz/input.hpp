// What every fuzz target has: bytes to take apart, and a way to say that a property does not hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

namespace quittance::fuzz {

/// Ends the program, so that the fuzzer keeps the input.
inline void require(bool holds, std::string_view property) {
    if (holds) return;
    std::cerr << "does not hold: " << property << std::endl;
    std::abort();
}

/// The bytes of one run, taken from the front.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

    /// 0 when nothing is left.
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const auto taken = static_cast<std::uint8_t>(left_.front());
        left_.remove_prefix(1);
        return taken;
    }

    /// Which of so many ways to go: seeds name it by a digit.
    unsigned choice(unsigned count) { return (byte() + 256U - '0') % 256U % count; }

    /// Up to the end of the line, or all that is left.
    std::string_view line() {
        const std::size_t end = left_.find('\n');
        const std::string_view taken = left_.substr(0, end);
        left_.remove_prefix(end == std::string_view::npos ? left_.size() : end + 1);
        return taken;
    }

    [[nodiscard]] std::string_view rest() const { return left_; }
    [[nodiscard]] bool empty() const { return left_.empty(); }

private:
    std::string_view left_;
};

}  // namespace quittance::fuzz

// libFuzzer calls it with every input: https://llvm.org/docs/LibFuzzer.html.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
