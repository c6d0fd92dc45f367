#include "tests/sim/world.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace quittance::sim {

namespace {

/// Clients that are not done by then have met too many faults: from here on there are none.
constexpr milliseconds longest_trouble{120'000};
/// What the provider decides later is looked at up to a day apart where there are no webhooks, and a payment
/// that was canceled and never reached the provider waits for an hour to be sure of it.
constexpr auto longest_settling = payments::longest_watch_pause + std::chrono::hours(6);
constexpr milliseconds longest_tick{600'000};
constexpr std::size_t most_events = 300'000;

}  // namespace

Outcome play(const Plan& plan, Templates& templates) {
    return World(plan, templates).run();
}

World::World(const Plan& plan, Templates& templates)
    : plan_(plan),
      stage_(plan.faults),
      random_(plan.dice_seed),
      dice_(plan.dice_seed, Prng::Stream::world),
      orders_("orders", templates.orders),
      payments_("payments", templates.payments),
      provider_(stage_, plan.dice_seed, [this](const payments::ProviderNotice& notice) { send(notice); }),
      broker_(stage_, plan.dice_seed),
      watch_{[this](const messaging::Message& message) { event_order_.published(message); },
             [this](const messaging::Message& message) { check_acknowledged(message, orders_, payments_); }},
      around_{stage_,    random_, dice_,  orders_,     payments_,
              provider_, broker_, watch_, plan.layout, plan.capture_mode},
      clients_(stage_, plan,
               [this]() -> OrdersSide* {
                   Process* process = choose(serves_orders);
                   return process == nullptr ? nullptr : process->orders();
               }),
      processes_(static_cast<std::size_t>(process_count(plan.layout))),
      work_planned_(processes_.size(), false) {}

World::~World() {
    processes_.clear();
    stage_.queue.clear();
}

Outcome World::run() {
    Outcome outcome;
    try {
        for (int number = 0; number < process_count(plan_.layout); ++number)
            start(number);
        clients_.start();
        plan_end(dice_.milliseconds(300, 1'000));
        if (plan_.capture_mode == payments::CaptureMode::manual) administer();
        if (plan_.meddling) meddle();
        for (std::size_t events = 0; !settled_; ++events) {
            if (events > most_events)
                throw Violation{"everything settles once faults stop", why_not_settled_};
            happen();
        }
        check_the_end(clients_.claims(), provider_, orders_, payments_);
    } catch (Violation& violation) {
        stage_.history.note("VIOLATION: " + violation.rule + ": " + violation.what);
        outcome.violation = std::move(violation);
    } catch (const std::exception& error) {
        stage_.history.note(std::string("VIOLATION: ") + error.what());
        outcome.violation = Violation{"nothing is thrown that nobody expects", error.what()};
    }
    outcome.history = stage_.history.lines();
    outcome.digest = stage_.history.digest();
    outcome.injected = stage_.faults.injected();
    outcome.orders = clients_.claims().orders.size();
    outcome.crashes = crashes_;
    return outcome;
}

void World::happen() {
    try {
        stage_.queue.step();
    } catch (const Crash& crashed) {
        crash(crashed.process);
    }
    plan_work();
}

void World::start(int number) {
    trouble_ends_at_ = stage_.clock.now();
    stage_.history.note("process " + std::to_string(number) + " starts");
    processes_.at(static_cast<std::size_t>(number)) = std::make_unique<Process>(around_, number);
    plan_tick(number, dice_.milliseconds(1, 50));
}

void World::crash(int number) {
    stage_.history.note("process " + std::to_string(number) + " is down");
    ++crashes_;
    processes_.at(static_cast<std::size_t>(number)).reset();
    work_planned_.at(static_cast<std::size_t>(number)) = false;
    stage_.queue.after(downtime(number), [this, number] { start(number); });
}

milliseconds World::downtime(int number) {
    if (plan_.long_downtimes && !serves_orders(plan_.layout, number) && dice_.chance(50)) {
        return std::chrono::hours(dice_.between(20, 50));
    }
    return dice_.chance(70) ? dice_.milliseconds(10, 1'000) : dice_.milliseconds(1'000, 40'000);
}

void World::plan_tick(int number, milliseconds interval) {
    const auto alive = processes_.at(static_cast<std::size_t>(number))->alive();
    stage_.queue.after(interval, [this, number, interval, alive] {
        if (*alive) tick(number, interval);
    });
}

/// Where little happens, time passes faster.
void World::tick(int number, milliseconds interval) {
    const std::size_t before = stage_.history.lines().size();
    const auto alive = processes_.at(static_cast<std::size_t>(number))->alive();
    stage_.queue.after(interval, [this, number, interval, alive, before] {
        if (!*alive) return;
        const bool quiet = stage_.history.lines().size() == before;
        tick(number, quiet ? std::min(3 * interval, longest_tick) : dice_.milliseconds(50, 300));
    });
    processes_.at(static_cast<std::size_t>(number))->tick();
}

void World::plan_work() {
    for (std::size_t number = 0; number < processes_.size(); ++number) {
        if (work_planned_[number] || !processes_[number] || !processes_[number]->has_work()) continue;
        work_planned_[number] = true;
        stage_.queue.after(dice_.milliseconds(0, 3), [this, number, alive = processes_[number]->alive()] {
            if (*alive) work(static_cast<int>(number));
        });
    }
}

void World::work(int number) {
    const auto at = static_cast<std::size_t>(number);
    if (processes_[at]->work()) {
        work_planned_[at] = false;
        return;
    }
    // What there is waits for its time.
    stage_.queue.after(dice_.milliseconds(20, 60), [this, number, alive = processes_[at]->alive()] {
        if (*alive) work(number);
    });
}

void World::plan_end(milliseconds interval) {
    const std::size_t before = stage_.history.lines().size();
    stage_.queue.after(interval, [this, interval, before] {
        look_for_end();
        const bool quiet = stage_.history.lines().size() == before;
        plan_end(quiet ? std::min(2 * interval, longest_tick) : dice_.milliseconds(300, 1'000));
    });
}

void World::look_for_end() {
    const Timestamp now = stage_.clock.now();
    if (!healed_at_ && (clients_.done() || now - ManualClock().now() > longest_trouble)) stop_faults();
    if (!healed_at_) return;
    why_not_settled_ = unsettled_or_busy();
    settled_ = why_not_settled_.empty();
    Timestamp well_since = std::max({*healed_at_, trouble_ends_at_, stage_.provider_away_until});
    for (const auto& [process, outage] : stage_.database_outages)
        well_since = std::max(well_since, outage.until);
    const bool all_up =
        std::ranges::all_of(processes_, [](const auto& process) { return process != nullptr; });
    if (all_up && now - well_since > longest_settling) {
        throw Violation{"everything settles once faults stop", why_not_settled_};
    }
}

void World::stop_faults() {
    stage_.history.note("no faults from here on");
    stage_.faults.stop();
    healed_at_ = stage_.clock.now();
}

std::string World::unsettled_or_busy() {
    if (!clients_.done()) return "clients wait for their answers";
    if (broker_.queued() > 0) return "messages wait in the broker";
    if (stage_.late_calls > 0) return "calls are on their way to the provider";
    if (notices_open_ > 0) return "notices of the provider are on their way";
    for (const auto& process : processes_) {
        if (!process) return "a process is down";
        if (!process->idle()) return "a process has work";
    }
    return unsettled(orders_, payments_);
}

Process* World::choose(bool (*serves)(Layout, int)) {
    std::vector<Process*> living;
    for (std::size_t number = 0; number < processes_.size(); ++number) {
        if (processes_[number] && serves(plan_.layout, static_cast<int>(number)))
            living.push_back(processes_[number].get());
    }
    return living.empty() ? nullptr : dice_.pick(living);
}

/// The shop's own people, who take or release what was authorized.
void World::administer() {
    stage_.queue.after(dice_.milliseconds(500, 4'000), [this] {
        administer();
        Process* process = choose(serves_payments);
        if (process == nullptr) return;
        for (const auto& row :
             payments_.rows("SELECT id, amount FROM payments WHERE status = 'AUTHORIZED' AND "
                            "cancel_requested = 0 AND capture_requested = 0 ORDER BY id")) {
            if (!dice_.chance(60)) continue;
            payments::CommandRequest request{PaymentId::parse(row[0]).value(), payments::VoidPayment{}};
            if (dice_.chance(80)) request.command = payments::CapturePayment{};
            if (dice_.chance(20)) request.command = payments::CapturePayment{std::stoll(row[1]) / 2};
            stage_.history.note("the shop captures or releases payment " + tail(row[0]));
            process->payments()->service.command(request, [](const Result<payments::CommandedPayment>&) {});
        }
    });
}

/// What the provider, customers and people do to payments by themselves, and voids of whatever can be voided.
void World::meddle() {
    stage_.queue.after(dice_.milliseconds(200, 4'000), [this] {
        if (healed_at_) return;
        meddle();
        if (dice_.chance(60)) return provider_.meddle();
        Process* process = choose(serves_payments);
        if (process == nullptr) return;
        for (const auto& row : payments_.rows("SELECT id FROM payments WHERE status IN ('AUTHORIZED', "
                                              "'REQUIRES_ACTION') AND cancel_requested = 0 ORDER BY id")) {
            if (!dice_.chance(30)) continue;
            stage_.history.note("the shop voids payment " + tail(row[0]));
            process->payments()->service.command({PaymentId::parse(row[0]).value(), payments::VoidPayment{}},
                                                 [](const Result<payments::CommandedPayment>&) {});
        }
    });
}

void World::send(const payments::ProviderNotice& notice) {
    if (!plan_.webhooks) return;
    const auto fault = stage_.faults.pass(Border::notice, 0);
    if (fault) stage_.history.note(std::string(to_string(*fault)) + ": " + notice.event_id);
    milliseconds pause = dice_.milliseconds(1, 2'000);
    if (fault == FaultKind::lost_notice) pause += dice_.milliseconds(5'000, 60'000);
    if (fault == FaultKind::late_notice) pause += dice_.milliseconds(60'000, 300'000);
    const int copies = fault == FaultKind::repeated_notice ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
        ++notices_open_;
        stage_.queue.after(pause * (copy + 1), [this, notice] { deliver(notice); });
    }
}

/// The provider repeats a webhook until it is answered well.
void World::deliver(const payments::ProviderNotice& notice) {
    const auto answered = std::make_shared<bool>(false);
    stage_.queue.after(dice_.milliseconds(5'000, 20'000), [this, notice, answered] {
        if (!*answered) deliver(notice);
    });
    Process* process = choose(serves_payments);
    if (process == nullptr) return;
    process->payments()->notices.take(notice,
                                      [this, answered](const Result<payments::NoticeOutcome>& outcome) {
                                          if (!outcome || *answered) return;
                                          *answered = true;
                                          --notices_open_;
                                      });
}

}  // namespace quittance::sim
