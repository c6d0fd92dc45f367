// order-service: users, catalogue and orders as a program of its own; payments are asked for over Pub/Sub.
#include "apps/serve.hpp"
#include "apps/service_program.hpp"

int main(int argc, char** argv) {
    using namespace quittance::apps;
    return run_service({"order-service", "Quittance's order service", "nobody would be paid",
                        add_order_service_options, serve_orders},
                       argc, argv);
}
