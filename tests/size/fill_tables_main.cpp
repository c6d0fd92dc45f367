// `fill-tables`: makes the databases of a large shop, for tests of the programs.
#include <cstdint>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "db/migrate.hpp"
#include "tests/size/generated_rows.hpp"

int main(int argc, char** argv) {
    using namespace quittance;
    CLI::App app("Fills the databases of a shop, whose schema is there, with generated rows");
    std::string orders_url;
    std::string payments_url;
    std::int64_t rows = 0;
    std::int64_t outbox_rows = 0;
    app.add_option("--orders", orders_url, "Address of the orders' database")->required();
    app.add_option("--payments", payments_url, "Address of the payments' database")->required();
    app.add_option("--rows", rows, "Paid orders, each with its payment and the ledger's entries");
    app.add_option("--outbox-rows", outbox_rows, "Events of the order service that wait to be published");
    CLI11_PARSE(app, argc, argv);
    db::Session orders(db::DatabaseOptions::parse(Secret(orders_url)));
    db::Session payments(db::DatabaseOptions::parse(Secret(payments_url)));
    if (rows > 0) size::fill_shop(orders, payments, rows);
    if (outbox_rows > 0) size::fill_outbox(orders, outbox_rows, "");
    size::analyze(orders);
    size::analyze(payments);
    return 0;
}
