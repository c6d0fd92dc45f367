// Fixed work for callgrind, which counts its instructions: they do not depend on what else the machine does.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <valgrind/callgrind.h>

#include "bench/one_thread_shop.hpp"

namespace {

constexpr std::size_t batch = 64;
constexpr std::size_t batches = 16;

using quittance::bench::OneThreadShop;

std::vector<std::string> order_requests(const OneThreadShop& shop) {
    std::vector<std::string> requests;
    for (std::size_t i = 0; i < batch; ++i)
        requests.push_back(shop.order_request(i));
    return requests;
}

/// Counts what happens inside, under a name, in a file of its own; prints how often it was done.
template <class Work>
void count(const char* name, std::size_t times, Work work) {
    CALLGRIND_ZERO_STATS;
    CALLGRIND_START_INSTRUMENTATION;
    work();
    CALLGRIND_STOP_INSTRUMENTATION;
    CALLGRIND_DUMP_STATS_AT(name);
    std::printf("%s\t%zu\n", name, times);
}

void play(const std::filesystem::path& folder) {
    OneThreadShop shop(folder);
    const auto placing = order_requests(shop);
    // Statements are prepared, tables have pages, buffers their size.
    for (int i = 0; i < 4; ++i)
        shop.ask(placing, 201);
    shop.carry_orders();

    std::vector<std::string> reading;
    count("POST /orders", batch * batches, [&] {
        for (std::size_t i = 0; i < batches; ++i) {
            const auto orders = shop.ask(placing, 201);
            if (i > 0) continue;
            for (const std::string& order : orders)
                reading.push_back(shop.read_request(boost::json::parse(order).at("id").as_string()));
        }
    });
    count("order -> PAID", batch * batches, [&] { shop.carry_orders(); });
    shop.ask(reading, 200);
    count("GET /orders/{id}", batch * batches, [&] {
        for (std::size_t i = 0; i < batches; ++i)
            shop.ask(reading, 200);
    });
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: instructions EMPTY_FOLDER\n";
        return 2;
    }
    try {
        play(argv[1]);
    } catch (const std::exception& error) {
        std::cerr << "instructions: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
