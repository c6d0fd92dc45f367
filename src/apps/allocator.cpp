// How the programs use jemalloc: for a small footprint.

/// Read by jemalloc when the program starts (jemalloc(3), "TUNING"); MALLOC_CONF in the environment comes on
/// top. By default there are four arenas for each processor and each keeps what is freed; threads hand work
/// to each other here, and two arenas with the caches of the threads serve them as fast. The background
/// thread gives memory back that a burst needed, also when nothing happens any more.
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:2,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
