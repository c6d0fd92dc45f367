// payment-service: payments as a program of its own; what is to be paid comes over Pub/Sub.
#include "apps/serve.hpp"
#include "apps/service_program.hpp"

int main(int argc, char** argv) {
    using namespace quittance::apps;
    return run_service({"payment-service", "Quittance's payment service", "nobody would ask for payments",
                        add_payment_service_options, serve_payments},
                       argc, argv);
}
