// What is for sale.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "db/scheduler.hpp"
#include "orders/order.hpp"
#include "telemetry/metrics.hpp"

namespace quittance::orders {

/// The statements on products. Thread safe: holds nothing but texts.
class ProductStore {
public:
    explicit ProductStore(const db::Dialect& dialect);

    /// Those that exist.
    [[nodiscard]] Products find(db::Session& session, std::span<const std::string> ids) const;
    /// By id, ascending, after `after`.
    [[nodiscard]] std::vector<Product> list(db::Session& session, const std::string& after,
                                            std::int64_t limit) const;
    /// Inserts or replaces, in the caller's transaction; true when it was not there before.
    bool put(db::Session& session, const Product& product) const;
    /// In the caller's transaction: false, and no change, when there is one with this id.
    bool insert(db::Session& session, const Product& product) const;
    /// As it is stored, locked against other writers until the transaction ends.
    [[nodiscard]] std::optional<Product> find_and_lock(db::Session& session, const std::string& id) const;
    void update(db::Session& session, const Product& product) const;

private:
    std::string find_;
    std::string find_and_lock_;
    std::string insert_;
    std::string update_;
};

struct PutProduct {
    Product product;
    /// Why it must not replace what is stored (nullptr: nothing is); pure. Empty: nothing hinders it.
    std::function<std::optional<Error>(const Product* current)> refusal;
};

struct StoredProduct {
    Product product;
    bool created = false;
};

struct ProductPage {
    std::vector<Product> products;
    bool has_more = false;
};

/// The catalogue over HTTP's needs. Thread safe; completions run on a database thread.
class Catalogue {
public:
    Catalogue(const ProductStore& store, db::Scheduler& writers, db::Scheduler& readers,
              telemetry::Metrics& metrics);

    void find(std::string id, absl::AnyInvocable<void(Result<Product>)> done);
    /// At most `limit` products whose id is greater than `after`.
    void list(std::string after, std::int64_t limit, absl::AnyInvocable<void(Result<ProductPage>)> done);
    /// Adds or replaces it, unless its `refusal` says no.
    void put(PutProduct product, absl::AnyInvocable<void(Result<StoredProduct>)> done);

private:
    struct ListProducts {
        std::string after;
        std::int64_t limit;
    };
    db::Lane<std::string, Product> find_lane_;
    db::Lane<ListProducts, ProductPage> list_lane_;
    db::Lane<PutProduct, StoredProduct> put_lane_;
};

/// The products that `--demo` puts into an empty catalogue.
[[nodiscard]] std::vector<Product> demo_products();

}  // namespace quittance::orders
