#include "orders/catalogue.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include <boost/json.hpp>

#include "db/batch.hpp"
#include "telemetry/lane_report.hpp"

namespace quittance::orders {

namespace {

constexpr auto integer = db::ColumnType::integer;

const std::vector<db::Column> details{{"name"}, {"unit_price", integer}, {"currency"}, {"active", integer}};

using ProductRow = std::tuple<std::string, std::string, std::int64_t, std::string, std::int64_t>;

Product product_from_row(const ProductRow& row) {
    const auto& [id, name, unit_price, currency, active] = row;
    const Currency known = db::stored(Currency::parse(currency), "a stored currency is known");
    return {id, name, {unit_price, known}, active != 0};
}

std::string batch_of(const Product& product) {
    return db::batch(std::span(&product, 1), [](ObjectWriter& row, const Product& one) {
        row.add("id", one.id);
        row.add("name", one.name);
        row.add("unit_price", one.unit_price.minor);
        row.add_plain("currency", one.unit_price.currency.code());
        row.add("active", one.active ? 1 : 0);
    });
}

/// In the caller's transaction.
Result<StoredProduct> put_one(db::Session& session, const ProductStore& store, const PutProduct& put) {
    if (!put.refusal) return StoredProduct{put.product, store.put(session, put.product)};
    if (!put.refusal(nullptr) && store.insert(session, put.product)) return StoredProduct{put.product, true};
    const auto current = store.find_and_lock(session, put.product.id);
    if (auto refusal = put.refusal(current ? &*current : nullptr)) return *std::move(refusal);
    // One that nobody has stored was tried above: products are never removed.
    ensure(current.has_value(), "a product that was there is there");
    store.update(session, put.product);
    return StoredProduct{put.product, false};
}

/// Runs requests one after the other for a lane whose statements take one at a time.
template <class Response, class Request, class Each>
std::vector<Result<Response>> one_by_one(std::span<Request> requests, Each each) {
    std::vector<Result<Response>> results;
    results.reserve(requests.size());
    for (Request& request : requests)
        results.push_back(each(request));
    return results;
}

}  // namespace

ProductStore::ProductStore(const db::Dialect& dialect)
    : find_("SELECT p.id, p.name, p.unit_price, p.currency, p.active FROM " +
            dialect.rows(":rows", "b", {{"id"}}) + " JOIN products p ON p.id = b.id"),
      find_and_lock_("SELECT id, name, unit_price, currency, active FROM products WHERE id = :id" +
                     dialect.for_update("products")),
      insert_(dialect.insert_new_rows("products", {{"id"}, details[0], details[1], details[2], details[3]})),
      update_(dialect.update_rows("products", {{"id"}}, details)) {}

Products ProductStore::find(db::Session& session, std::span<const std::string> ids) const {
    const std::set<std::string> distinct(ids.begin(), ids.end());
    const std::string batch =
        db::batch(distinct, [](ObjectWriter& row, const std::string& id) { row.add("id", id); });
    Products products;
    for (const auto& row :
         session.select<std::string, std::string, std::int64_t, std::string, std::int64_t>(find_, {batch})) {
        Product product = product_from_row(row);
        products.emplace(product.id, std::move(product));
    }
    return products;
}

std::vector<Product> ProductStore::list(db::Session& session, const std::string& after,
                                        std::int64_t limit) const {
    std::vector<Product> products;
    for (const auto& row : session.select<std::string, std::string, std::int64_t, std::string, std::int64_t>(
             "SELECT id, name, unit_price, currency, active FROM products WHERE id > :after ORDER BY id "
             "LIMIT "
             ":rows",
             {after, limit})) {
        products.push_back(product_from_row(row));
    }
    return products;
}

bool ProductStore::put(db::Session& session, const Product& product) const {
    if (insert(session, product)) return true;
    update(session, product);
    return false;
}

bool ProductStore::insert(db::Session& session, const Product& product) const {
    return session.execute(insert_, {batch_of(product)}) == 1;
}

std::optional<Product> ProductStore::find_and_lock(db::Session& session, const std::string& id) const {
    const auto rows = session.select<std::string, std::string, std::int64_t, std::string, std::int64_t>(
        find_and_lock_, {id});
    if (rows.empty()) return std::nullopt;
    return product_from_row(rows.front());
}

void ProductStore::update(db::Session& session, const Product& product) const {
    session.execute(update_, {batch_of(product)});
}

Catalogue::Catalogue(const ProductStore& store, db::Scheduler& writers, db::Scheduler& readers,
                     telemetry::Metrics& metrics)
    : find_lane_(
          readers, {},
          [&store](db::Session& session, std::span<std::string> ids) {
              const Products products = store.find(session, ids);
              return one_by_one<Product>(ids, [&](const std::string& id) -> Result<Product> {
                  const auto found = products.find(id);
                  if (found != products.end()) return found->second;
                  return Error{ErrorCode::not_found, "There is no such product.", {}, 0};
              });
          },
          telemetry::LaneReport(metrics, "product_find")),
      list_lane_(
          readers, {},
          [&store](db::Session& session, std::span<ListProducts> pages) {
              return one_by_one<ProductPage>(pages, [&](const ListProducts& page) -> Result<ProductPage> {
                  ProductPage found{store.list(session, page.after, page.limit + 1), false};
                  found.has_more = std::ssize(found.products) > page.limit;
                  if (found.has_more) found.products.pop_back();
                  return found;
              });
          },
          telemetry::LaneReport(metrics, "product_list")),
      put_lane_(
          writers, {},
          [&store](db::Session& session, std::span<PutProduct> puts) {
              db::Transaction transaction(session);
              auto results = one_by_one<StoredProduct>(
                  puts, [&](const PutProduct& put) { return put_one(session, store, put); });
              transaction.commit();
              return results;
          },
          telemetry::LaneReport(metrics, "product_put")) {}

void Catalogue::find(std::string id, absl::AnyInvocable<void(Result<Product>)> done) {
    find_lane_.submit(std::move(id), std::move(done));
}

void Catalogue::list(std::string after, std::int64_t limit,
                     absl::AnyInvocable<void(Result<ProductPage>)> done) {
    list_lane_.submit({std::move(after), limit}, std::move(done));
}

void Catalogue::put(PutProduct product, absl::AnyInvocable<void(Result<StoredProduct>)> done) {
    put_lane_.submit(std::move(product), std::move(done));
}

std::vector<Product> demo_products() {
    const Currency eur = *Currency::parse("EUR");
    const Currency jpy = *Currency::parse("JPY");
    return {{"coffee-beans-1kg", "Coffee beans, 1 kg", {1890, eur}, true},
            {"pour-over-kettle", "Pour-over kettle", {4900, eur}, true},
            {"ceramic-mug", "Ceramic mug", {1250, eur}, true},
            {"coffee-grinder", "Coffee grinder", {8900, eur}, true},
            {"gift-card-jpy", "Gift card, 5,000 yen", {5000, jpy}, true}};
}

}  // namespace quittance::orders
