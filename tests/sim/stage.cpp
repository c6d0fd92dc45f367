#include "tests/sim/stage.hpp"

namespace quittance::sim {

void History::note(const std::string& what) {
    const std::int64_t ms = to_ms(clock_.now()) - to_ms(ManualClock().now());
    std::string digits = std::to_string(ms % 1000);
    digits.insert(0, 3 - digits.size(), '0');
    std::string seconds = std::to_string(ms / 1000);
    if (seconds.size() < 6) seconds.insert(0, 6 - seconds.size(), ' ');
    lines_.push_back(seconds + "." + digits + "  " + what);
}

std::uint64_t History::digest() const {
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    for (const std::string& line : lines_) {
        for (const char c : line + "\n")
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    }
    return hash;
}

bool EventQueue::step() {
    if (events_.empty()) return false;
    auto next = events_.extract(events_.begin());
    clock_.advance(next.key().first - clock_.now());
    next.mapped()();
    return true;
}

}  // namespace quittance::sim
