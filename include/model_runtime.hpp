// model_runtime.hpp - foundation models in your own process, for C++17 and later.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
/// @file
/// @brief C++ over model_runtime.h: the same library, with its rules kept by types. Header-only; link libmodel_runtime.
///
/// @code
///   auto runtime = model_runtime::Runtime::create().value();
///   runtime.serve("stories", "examples/models/stories260K").value();
///   auto stream = runtime.submit_completion(R"({"model": "stories", "prompt": "Once upon a time"})").value();
///   for (auto &event : stream) std::cout << event.text() << std::flush;
/// @endcode
///
/// ERRORS
///   What can fail returns a Result<T>: a value or an Error. Ask it (`if (!result) use(result.error())`), or take `.value()`,
///   which throws model_runtime::Exception where there is none. Only three things throw: `.value()`, the range-for over a
///   Stream, and the standard library where it has no memory. No destructor throws.
///
///   Without exceptions (-fno-exceptions, or MODEL_RUNTIME_NO_EXCEPTIONS defined) there is no `.value()`: what you forget to ask
///   does not compile. Range-for then ends where the answer ends, well or not, and `stream.error()` behind the loop says which.
///   Nothing here needs RTTI. Translation units of both kinds may be linked into one program; their types are different ones.
///
/// OWNERSHIP
///   Every object frees its handle once, in its destructor. They can be moved, not copied; only Runtime can be copied, which
///   counts a reference. They may be destroyed in any order: a request keeps its runtime working. Destroying a request cancels
///   it. An object that was moved from may be destroyed and assigned to; all else answers Code::invalid_argument, or nothing.
///
/// THREADS
///   As everywhere in C++: const member functions may be called from many threads at the same time on one object (all functions
///   that ask a Runtime or a Request for something are const), while nobody moves, assigns or destroys it. To end what another
///   thread waits for, call cancel(). Nothing is stored per thread.
///
/// CALLBACKS
///   Event, notify, clock and lifecycle callbacks run on threads of the library, progress on the thread that called serve() or
///   run_batch(). They may call everything here, except wait() on a request inside its own callback (Code::conflict), and should
///   return soon. Destroying a request or vectors with a callback waits while the callback runs on another thread: do not hold a
///   lock there that the callback takes. The function object is destroyed once, when it is not needed any more, on any thread. An
///   exception in it never enters the library: see Callback, ClockCallback, LifecycleCallback and Embeddings::notify.
///
/// TEXT
///   Text is UTF-8, requests and answers are JSON of the OpenAI shape. What goes in is copied before a function returns. A
///   std::string_view or Span that comes out belongs to the object that it came from; there is a NUL behind it.
///
/// Requests, the codes of each function and how long it blocks are described in model_runtime.h, under the same names.

#ifndef MODEL_RUNTIME_HPP
#define MODEL_RUNTIME_HPP

#include "model_runtime.h"

#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if !defined(MODEL_RUNTIME_NO_EXCEPTIONS) && !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
/// Defined, by you or where the compiler has exceptions switched off: the header uses none.
#define MODEL_RUNTIME_NO_EXCEPTIONS
#endif

#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
#include <exception>
#include <stdexcept>
#endif

// A type that is thrown through several shared objects must be the same in all, also under -fvisibility=hidden.
#if defined(__GNUC__)
#define MODEL_RUNTIME_VISIBLE __attribute__((visibility("default")))
#else
#define MODEL_RUNTIME_VISIBLE
#endif

/// The library's C++ interface.
namespace model_runtime {
// Types with and without exceptions have different names for the linker, so that a program may have both.
#ifdef MODEL_RUNTIME_NO_EXCEPTIONS
inline namespace without_exceptions {
#else
inline namespace with_exceptions {
#endif

// ---------------------------------------------------------------------------------------------------------------- Values

/// What went wrong, as a number; see the MR_E_ constants. A later library may have codes that are not named here.
enum class Code : std::int32_t {
  ok = MR_OK,
  invalid_argument = MR_E_INVALID_ARGUMENT,
  invalid_request = MR_E_INVALID_REQUEST,
  context_length_exceeded = MR_E_CONTEXT_LENGTH_EXCEEDED,
  not_found = MR_E_NOT_FOUND,
  conflict = MR_E_CONFLICT,
  unsupported = MR_E_UNSUPPORTED,
  model_retired = MR_E_MODEL_RETIRED,
  permission_denied = MR_E_PERMISSION_DENIED,
  invalid_model = MR_E_INVALID_MODEL,
  io = MR_E_IO,
  insufficient_memory = MR_E_INSUFFICIENT_MEMORY,
  overloaded = MR_E_OVERLOADED,
  cancelled = MR_E_CANCELLED,
  deadline_exceeded = MR_E_DEADLINE_EXCEEDED,
  shutting_down = MR_E_SHUTTING_DOWN,
  rate_limited = MR_E_RATE_LIMITED,
  callback = MR_E_CALLBACK,
  internal = MR_E_INTERNAL,
};

/// The code's name, such as "not_found"; "unknown" for one that this header does not know.
[[nodiscard]] inline std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::ok: return "ok";
    case Code::invalid_argument: return "invalid_argument";
    case Code::invalid_request: return "invalid_request";
    case Code::context_length_exceeded: return "context_length_exceeded";
    case Code::not_found: return "not_found";
    case Code::conflict: return "conflict";
    case Code::unsupported: return "unsupported";
    case Code::model_retired: return "model_retired";
    case Code::permission_denied: return "permission_denied";
    case Code::invalid_model: return "invalid_model";
    case Code::io: return "io";
    case Code::insufficient_memory: return "insufficient_memory";
    case Code::overloaded: return "overloaded";
    case Code::cancelled: return "cancelled";
    case Code::deadline_exceeded: return "deadline_exceeded";
    case Code::shutting_down: return "shutting_down";
    case Code::rate_limited: return "rate_limited";
    case Code::callback: return "callback";
    case Code::internal: return "internal";
  }
  return "unknown";
}

/// What an Event reports. A later library may have other kinds: ignore what you do not know.
enum class EventKind : std::int32_t {
  none = 0,                        ///< An event that was moved from.
  chunks = MR_EVENT_CHUNKS,        ///< New pieces of the answer.
  finished = MR_EVENT_FINISHED,    ///< The answer is complete. Only callbacks see it.
  failed = MR_EVENT_FAILED,        ///< The request failed. Only callbacks see it.
};

/// Which time a ClockCallback is asked for.
enum class Clock : std::int32_t {
  wall = MR_CLOCK_WALL,              ///< Since 1970-01-01T00:00:00Z.
  monotonic = MR_CLOCK_MONOTONIC,    ///< Since any fixed moment, never decreasing.
};

/// What a load is doing. A later library may have others.
enum class Phase : std::int32_t {
  other = MR_PHASE_OTHER,
  digest = MR_PHASE_DIGEST,      ///< The files are read to name their exact version.
  weights = MR_PHASE_WEIGHTS,    ///< The weights are read.
};

/// How far a load is.
struct Progress {
  Phase phase;
  std::uint64_t done_bytes;
  std::uint64_t total_bytes;
};

/// What a callback answers. Every number but 0 stops; Error::callback_result() gives it back.
enum class Flow : std::int32_t {
  go_on = 0,
  stop = 1,
};

/// Whether prompts that begin alike share what was computed for the beginning.
enum class PrefixSharing : std::int32_t {
  automatic = MR_PREFIX_SHARING_DEFAULT,    ///< On.
  on = MR_PREFIX_SHARING_ON,
  off = MR_PREFIX_SHARING_OFF,
};

/// What computes a model.
enum class Backend : std::int32_t {
  automatic = MR_BACKEND_DEFAULT,    ///< The library's own kernels.
  cpu = MR_BACKEND_CPU,              ///< The library's own kernels.
  candle = MR_BACKEND_CANDLE,        ///< The reference, slower and larger; takes no ServeOptions from threads on.
};

/// The numbers that products are computed with.
enum class Compute : std::int32_t {
  automatic = MR_COMPUTE_DEFAULT,    ///< What each format of weights was made for.
  f32 = MR_COMPUTE_F32,
  bf16 = MR_COMPUTE_BF16,
  int8 = MR_COMPUTE_INT8,            ///< The fastest, at some cost in accuracy.
};

/// What the cache of keys and values holds.
enum class CacheType : std::int32_t {
  automatic = MR_CACHE_TYPE_DEFAULT,    ///< f16.
  f16 = MR_CACHE_TYPE_F16,
  bf16 = MR_CACHE_TYPE_BF16,
  f32 = MR_CACHE_TYPE_F32,
  q8 = MR_CACHE_TYPE_Q8,
};

/// What weights in floating point become while they are read.
enum class Quantize : std::int32_t {
  none = MR_QUANTIZE_NONE,
  q8_0 = MR_QUANTIZE_Q8_0,
  q6_k = MR_QUANTIZE_Q6_K,
  q4_k = MR_QUANTIZE_Q4_K,
};

/// In which order a run of many requests writes its results.
enum class Order : std::int32_t {
  of_requests = MR_ORDER_OF_REQUESTS,
  as_ready = MR_ORDER_AS_READY,    ///< Each when it is ready.
};

/// What is applied to vectors.
enum class Normalize : std::int32_t {
  none = MR_NORMALIZE_NONE,    ///< They are as the model makes them.
  l2 = MR_NORMALIZE_L2,        ///< They have unit length.
};

/// The end of an answer among server-sent events; see Event::stream().
inline constexpr std::string_view stream_done = MR_EVENT_STREAM_DONE;

/// The version of the library that is loaded, such as "0.1.0".
[[nodiscard]] inline std::string_view version() noexcept { return mr_version(); }

/// Whether this header and the library that is loaded have the same binary interface. A program may check it at its start.
[[nodiscard]] inline bool abi_matches() noexcept { return mr_abi_version() == MR_ABI_VERSION; }

/// A string as JSON, quotes included: for requests that are put together by hand. Every character stays what it is; text that
/// is not UTF-8 is refused when the request is made.
[[nodiscard]] inline std::string quote(std::string_view text) {
  constexpr std::string_view named = "\"\\\b\f\n\r\t", names = "\"\\bfnrt", digits = "0123456789abcdef";
  std::string json;
  json.reserve(text.size() + 2);
  json += '"';
  for (const char c : text) {
    if (const std::size_t at = named.find(c); at != std::string_view::npos) {
      json += '\\';
      json += names[at];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      json += "\\u00";
      json += digits[static_cast<unsigned char>(c) >> 4];
      json += digits[static_cast<unsigned char>(c) & 15];
    } else {
      json += c;
    }
  }
  json += '"';
  return json;
}

/// A block of values that belongs to somebody else: what std::span is from C++20 on, and becomes where one is asked for.
template <class T>
class Span {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using pointer = T *;
  using reference = T &;
  using iterator = T *;

  constexpr Span() noexcept = default;
  constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

  [[nodiscard]] constexpr T *data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr T *begin() const noexcept { return data_; }
  [[nodiscard]] constexpr T *end() const noexcept { return data_ + size_; }
  /// The element at `index`, which must be less than size().
  [[nodiscard]] constexpr T &operator[](std::size_t index) const noexcept {
    assert(index < size_);
    return data_[index];
  }

 private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

// ------------------------------------------------------------------------------------------------------ Texts and errors

namespace detail {

// What a getter of the C header lends.
template <class Handle>
std::string_view lent(const char *(*get)(const Handle *, std::size_t *), const Handle *handle) noexcept {
  std::size_t size = 0;
  const char *data = get(handle, &size);
  return data == nullptr ? std::string_view{} : std::string_view{data, size};
}

// Frees what is owned and leaves what is only lent.
template <class Handle, void (*free)(Handle *)>
struct Free {
  bool owned = true;
  void operator()(Handle *handle) const noexcept {
    if (owned) free(handle);
  }
};

template <class Handle, void (*free)(Handle *)>
using Owned = std::unique_ptr<Handle, Free<Handle, free>>;

using ErrorHandle = Owned<mr_error, mr_error_free>;

struct Thrown;

}  // namespace detail

/// Text of the library, mostly JSON. It never changes.
///
/// Thread safety: const member functions from any thread, concurrently.
class Text {
 public:
  /// Takes over a handle of the C interface.
  explicit Text(mr_text *text) noexcept : handle_(text) {}

  /// The text, as long as this object lives.
  [[nodiscard]] std::string_view view() const noexcept { return detail::lent(mr_text_get_data, handle_.get()); }
  /// A copy of its own.
  [[nodiscard]] std::string str() const { return std::string(view()); }
  /// The first byte; there is a NUL behind the last. Null only if the object was moved from.
  [[nodiscard]] const char *data() const noexcept { return mr_text_get_data(handle_.get(), nullptr); }
  /// Bytes.
  [[nodiscard]] std::size_t size() const noexcept { return view().size(); }
  [[nodiscard]] const char *begin() const noexcept { return data(); }
  [[nodiscard]] const char *end() const noexcept { return data() + size(); }
  operator std::string_view() const noexcept { return view(); }

  /// The handle, which stays owned by this object.
  [[nodiscard]] const mr_text *get() const noexcept { return handle_.get(); }

 private:
  detail::Owned<mr_text, mr_text_free> handle_;
};

inline std::ostream &operator<<(std::ostream &out, const Text &text) { return out << text.view(); }

/// Why a call failed: a value that may be copied and kept.
class Error {
 public:
  /// Reads a handle of the C interface and frees it; `status` is what came with it.
  Error(mr_status status, mr_error *error) : Error(Lent{}, status, detail::ErrorHandle(error).get()) {}

  /// What went wrong, as a number.
  [[nodiscard]] Code code() const noexcept { return static_cast<Code>(status_); }
  /// One line for people: the thing, the value and what would be accepted.
  [[nodiscard]] const std::string &message() const noexcept { return message_; }
  /// The field or parameter at fault, as a path such as messages[0].content; empty if none is.
  [[nodiscard]] const std::optional<std::string> &param() const noexcept { return param_; }
  /// Whether the same call can succeed later without being changed.
  [[nodiscard]] bool retryable() const noexcept { return retryable_; }
  /// After how long trying again makes sense; empty if that is not known.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept { return retry_after_; }
  /// The HTTP status that a hosted API would answer with, 400 to 599.
  [[nodiscard]] int http_status() const noexcept { return http_status_; }
  /// The error in the OpenAI shape.
  [[nodiscard]] const std::string &json() const noexcept { return json_; }
  /// What your callback returned, for Code::callback; 0 for every other error.
  [[nodiscard]] std::int32_t callback_result() const noexcept { return callback_result_; }

#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
  /// What your callback threw, for Code::callback; null if it threw nothing.
  [[nodiscard]] std::exception_ptr exception() const noexcept { return exception_; }
  /// Throws what the callback threw, or else an Exception with this error.
  [[noreturn]] inline void raise() const;
#endif

 private:
  friend class Embeddings;
  friend class Event;
  friend struct detail::Thrown;

  struct Lent {};
  // One that a callback hears of, which must hear: where there is no memory for the words, by the code alone.
  static Error heard(const mr_error *error) noexcept {
    const mr_status status = mr_error_get_code(error);
#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
    try {
#endif
      return Error(Lent{}, status, error);
#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
    } catch (...) {
      return Error(status, nullptr);
    }
#endif
  }
  // Reads an error that somebody else owns.
  Error(Lent, mr_status status, const mr_error *error)
      : status_(status),
        http_status_(mr_error_get_status(error)),
        callback_result_(mr_error_get_callback_result(error)),
        retryable_(mr_error_get_retryable(error) != 0),
        message_(detail::lent(mr_error_get_message, error)),
        json_(detail::lent(mr_error_get_json, error)) {
    if (const auto param = detail::lent(mr_error_get_param, error); param.data() != nullptr) param_ = param;
    if (const std::int64_t after = mr_error_get_retry_after_ms(error); after >= 0) retry_after_.emplace(after);
  }

  mr_status status_;
  int http_status_;
  std::int32_t callback_result_;
  bool retryable_;
  std::string message_, json_;
  std::optional<std::string> param_;
  std::optional<std::chrono::milliseconds> retry_after_;
#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
  std::exception_ptr exception_;
#endif
};

inline std::ostream &operator<<(std::ostream &out, const Error &error) {
  return out << to_string(error.code()) << ": " << error.message();
}

#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
/// What Result::value() and the range-for over a Stream throw. what() is the error's message.
class MODEL_RUNTIME_VISIBLE Exception : public std::runtime_error {
 public:
  explicit Exception(Error error)
      : std::runtime_error(error.message()), error_(std::make_shared<const Error>(std::move(error))) {}

  /// The whole error; copies of the exception share it.
  [[nodiscard]] const Error &error() const noexcept { return *error_; }
  /// error().code().
  [[nodiscard]] Code code() const noexcept { return error_->code(); }

 private:
  std::shared_ptr<const Error> error_;
};

inline void Error::raise() const {
  if (exception_) std::rethrow_exception(exception_);
  throw Exception(*this);
}
#endif

/// A value, or the Error that there is instead of it.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) noexcept : state_(std::in_place_index<1>, std::move(error)) {}

  /// Whether there is a value.
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; there must be one.
  [[nodiscard]] T &operator*() & noexcept { return *there(std::get_if<0>(&state_)); }
  [[nodiscard]] const T &operator*() const & noexcept { return *there(std::get_if<0>(&state_)); }
  /// By value, so that nothing dangles in `for (auto &event : *runtime.submit_chat(...))`.
  [[nodiscard]] T operator*() && noexcept { return std::move(**this); }
  [[nodiscard]] T *operator->() noexcept { return &**this; }
  [[nodiscard]] const T *operator->() const noexcept { return &**this; }

  /// Why there is no value; there must be none.
  [[nodiscard]] const Error &error() const & noexcept { return *there(std::get_if<1>(&state_)); }
  [[nodiscard]] Error error() && noexcept { return std::move(*there(std::get_if<1>(&state_))); }
  /// Code::ok with a value, else the error's.
  [[nodiscard]] Code code() const noexcept { return has_value() ? Code::ok : error().code(); }

#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
  /// The value. @throws Exception where there is none, or what your callback threw.
  T &value() & { return raise_error(), **this; }
  const T &value() const & { return raise_error(), **this; }
  T value() && { return raise_error(), *std::move(*this); }
#endif

 private:
#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
  void raise_error() const {
    if (!has_value()) error().raise();
  }
#endif

  template <class Pointer>
  static Pointer there(Pointer pointer) noexcept {
    assert(pointer != nullptr && "ask a Result before you take what it may not have");
    return pointer;
  }

  std::variant<T, Error> state_;
};

/// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() noexcept = default;
  Result(Error error) noexcept : error_(std::move(error)) {}

  /// Whether it is a success.
  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  /// Why it failed; it must have.
  [[nodiscard]] const Error &error() const & noexcept {
    assert(error_.has_value());
    return *error_;
  }
  [[nodiscard]] Error error() && noexcept {
    assert(error_.has_value());
    return std::move(*error_);
  }
  /// Code::ok, or the error's.
  [[nodiscard]] Code code() const noexcept { return has_value() ? Code::ok : error_->code(); }

#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
  /// @throws Exception unless it is a success, or what your callback threw.
  void value() const {
    if (error_.has_value()) error_->raise();
  }
#endif

 private:
  std::optional<Error> error_;
};

// ------------------------------------------------------------------------------------------------------------- Callbacks

/// A function that is called with `const Argument &`, made of anything that can be called like that and copied: it returns Flow,
/// or nothing, which always goes on.
///
/// It may throw: then the load or the request ends with Code::callback, Error::exception() is what was thrown, and `.value()`
/// of what reports the end (serve(), run_batch(), wait()) throws it again.
template <class Argument>
class Callback {
 public:
  template <class Function, class = std::enable_if_t<!std::is_same_v<std::decay_t<Function>, Callback> &&
                                                     std::is_invocable_v<std::decay_t<Function> &, const Argument &>>>
  Callback(Function &&function) {
    using Answer = std::invoke_result_t<std::decay_t<Function> &, const Argument &>;
    static_assert(std::is_void_v<Answer> || std::is_same_v<Answer, Flow>,
                  "a callback returns model_runtime::Flow, or nothing");
    if constexpr (std::is_void_v<Answer>) {
      function_ = [function = std::decay_t<Function>(std::forward<Function>(function))](const Argument &argument) mutable {
        function(argument);
        return Flow::go_on;
      };
    } else {
      function_ = std::forward<Function>(function);
    }
  }

  Flow operator()(const Argument &argument) const { return function_(argument); }

 private:
  std::function<Flow(const Argument &)> function_;
};

class Event;

/// Receives a request's events, one after the other, on the runtime's dispatch thread. The event is lent until it returns.
/// EventKind::finished or EventKind::failed comes last, except after Flow::stop or an exception, which nothing follows.
using EventCallback = Callback<Event>;

/// Receives the progress of a load, on the thread that called serve(), before that returns.
using ProgressCallback = Callback<Progress>;

/// Hears how far a run of many requests is, on the thread that called run_batch(), before that returns: JSON, lent until it
/// returns, with read, skipped, done, failed, running, waiting and more.
using BatchCallback = Callback<std::string_view>;

/// Tells the time, at once, from any thread and several at a time. If it throws, the time that it told last (at first the
/// system's) is taken: nobody could be told.
using ClockCallback = std::function<std::chrono::nanoseconds(Clock)>;

/// Hears what is new about the life of a model that somebody uses: JSON with "key", "message" and "status", lent until it
/// returns; from any thread, several at a time. What it throws is dropped: the news came beside a request that goes on.
using LifecycleCallback = std::function<void(std::string_view)>;

// --------------------------------------------------------------------------------------------------------------- Options

/// Options of a Runtime.
struct RuntimeOptions {
  /// The most bytes that all models take together, weights, caches and scratch; 0: no limit.
  std::uint64_t memory_budget = 0;
  /// The SQLite file that keeps registered models, updates, retirements and usage; empty: they are kept in memory.
  std::optional<std::string> database = std::nullopt;
  /// Facts about models and their retirements, TOML, laid over the built-in ones; empty: those alone.
  std::optional<std::string> catalog = std::nullopt;
  /// Empty: the system's clock.
  ClockCallback clock = nullptr;
  /// Empty: nobody listens.
  LifecycleCallback on_lifecycle = nullptr;
};

/// Options of an endpoint. 0, empty and `automatic` are the library's choice.
struct ServeOptions {
  /// The longest prompt and answer together, in tokens; 0: what the model was made for, at most 8192.
  std::uint64_t context_length = 0;
  /// Tokens that the block cache holds for all requests together.
  std::uint64_t cache_tokens = 0;
  /// The most tokens computed in one step.
  std::uint32_t max_batch_tokens = 0;
  /// The most prompt tokens computed in a step beside running answers, which bounds their pauses.
  std::uint32_t max_prefill_tokens = 0;
  /// The most requests that run at the same time.
  std::uint32_t max_sequences = 0;
  /// The most requests that wait; one more is refused with Code::overloaded.
  std::uint32_t max_queue = 0;
  PrefixSharing prefix_sharing = PrefixSharing::automatic;
  /// The version's name; empty: made from the contents of the model's files.
  std::optional<std::string> version = std::nullopt;
  /// A Jinja chat template to use instead of the model's own.
  std::optional<std::string> chat_template = std::nullopt;
  Backend backend = Backend::automatic;
  /// Threads that compute, the endpoint's own included, at most 1024; 0: one for each core of affinity, or else as many as the
  /// process may use.
  std::uint32_t threads = 0;
  Compute compute = Compute::automatic;
  CacheType cache_type = CacheType::automatic;
  Quantize quantize = Quantize::none;
  /// The cores, by the system's numbers, that the threads run on: the first for the endpoint's own thread. Linux only. Empty:
  /// wherever the system puts them.
  std::vector<std::uint32_t> affinity = {};
};

/// Options of a request that are not part of its JSON.
struct RequestOptions {
  /// Higher runs first; 0 is normal.
  std::int32_t priority = 0;
  /// After how long the request ends with Code::deadline_exceeded; empty: never. What is not positive counts as one millisecond,
  /// so that a deadline that has passed is none that never comes.
  std::optional<std::chrono::milliseconds> timeout = std::nullopt;
  /// Who asks: whom limits, fairness, usage and retirements know the request by; empty: the request's "user".
  std::optional<std::string> principal = std::nullopt;
  /// The served entity that is to answer; empty: the endpoint's shares of traffic decide.
  std::optional<std::string> entity = std::nullopt;
  /// Whether the response says what is known about the life of the model ("x_lifecycle").
  bool lifecycle = false;
  /// Whether the answer is wanted at once, from submit_chat() or submit_completion() as chat() and complete() give it, and yet may
  /// be waited for a while and cancelled. Nothing is streamed then: a Stream is done and a callback called only when the answer
  /// ends, usage says so, and "stream": true in the request is refused with Code::invalid_request.
  bool whole = false;
};

/// Options of a run of many requests.
struct BatchOptions {
  /// The most requests at once, at most 1024; 0: 64.
  std::uint32_t concurrency = 0;
  Order order = Order::of_requests;
  /// Options of each request.
  RequestOptions requests = {};
};

namespace detail {

inline void set(const char *&data, std::size_t &size, const std::optional<std::string> &text) noexcept {
  data = text ? text->data() : nullptr;
  size = text ? text->size() : 0;
}

// The C options point into the C++ ones.
inline mr_serve_options to_c(const ServeOptions &options) noexcept {
  mr_serve_options c = MR_SERVE_OPTIONS_INIT;
  c.context_length = options.context_length;
  c.cache_tokens = options.cache_tokens;
  c.max_batch_tokens = options.max_batch_tokens;
  c.max_prefill_tokens = options.max_prefill_tokens;
  c.max_sequences = options.max_sequences;
  c.max_queue = options.max_queue;
  c.prefix_sharing = static_cast<std::int32_t>(options.prefix_sharing);
  set(c.version, c.version_len, options.version);
  set(c.chat_template, c.chat_template_len, options.chat_template);
  c.backend = static_cast<std::int32_t>(options.backend);
  c.threads = options.threads;
  c.compute = static_cast<std::int32_t>(options.compute);
  c.cache_type = static_cast<std::int32_t>(options.cache_type);
  c.quantize = static_cast<std::int32_t>(options.quantize);
  c.affinity = options.affinity.empty() ? nullptr : options.affinity.data();
  c.affinity_len = options.affinity.size();
  return c;
}

inline mr_request_options to_c(const RequestOptions &options) noexcept {
  mr_request_options c = MR_REQUEST_OPTIONS_INIT;
  c.priority = options.priority;
  if (options.timeout) c.timeout_ms = static_cast<std::uint64_t>(options.timeout->count() > 0 ? options.timeout->count() : 1);
  set(c.principal, c.principal_len, options.principal);
  set(c.entity, c.entity_len, options.entity);
  c.lifecycle = options.lifecycle ? 1 : 0;
  c.whole = options.whole ? 1 : 0;
  return c;
}

// A time that is up counts as none, never as MR_WAIT_FOREVER.
inline std::int64_t to_c(std::chrono::milliseconds timeout) noexcept { return timeout.count() > 0 ? timeout.count() : 0; }

// What a callback threw, written on the library's thread before it answers and read after the request has ended.
struct Thrown {
#ifdef MODEL_RUNTIME_NO_EXCEPTIONS
  template <class Function>
  std::int32_t guard(const Function &function) noexcept {
    return static_cast<std::int32_t>(function());
  }
  Error explain(Error error) const noexcept { return error; }
#else
  template <class Function>
  std::int32_t guard(const Function &function) noexcept {
    try {
      return static_cast<std::int32_t>(function());
    } catch (...) {
      exception = std::current_exception();
      there.store(true, std::memory_order_release);
      return static_cast<std::int32_t>(Flow::stop);
    }
  }
  Error explain(Error error) const noexcept {
    if (error.code() != Code::callback || !there.load(std::memory_order_acquire)) return error;
    error.exception_ = exception;
    return error;
  }

  std::exception_ptr exception;
  std::atomic<bool> there{false};
#endif
};

template <class Function>
void destroy(void *function) noexcept {
  delete static_cast<Function *>(function);
}

struct HostClock {
  explicit HostClock(ClockCallback callback) : tell(std::move(callback)) {
    last[MR_CLOCK_WALL] = std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
    last[MR_CLOCK_MONOTONIC] = 0;
  }

  static std::int64_t now(void *self, std::int32_t which) noexcept { return static_cast<HostClock *>(self)->now(which); }

  std::int64_t now(std::int32_t which) noexcept {
    // A clock that this header does not know goes like time that only goes forward.
    std::atomic<std::int64_t> &told = last[which == MR_CLOCK_WALL ? MR_CLOCK_WALL : MR_CLOCK_MONOTONIC];
#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
    try {
#endif
      const std::int64_t time = tell(static_cast<Clock>(which)).count();
      std::int64_t before = told.load();
      // Threads may come here in another order than they read the clock in.
      while ((which == MR_CLOCK_WALL || before < time) && !told.compare_exchange_weak(before, time)) continue;
      return time;
#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
    } catch (...) {
      return told.load();
    }
#endif
  }

  ClockCallback tell;
  std::atomic<std::int64_t> last[2];
};

inline void hear(void *callback, const char *event, std::size_t size) noexcept {
#ifdef MODEL_RUNTIME_NO_EXCEPTIONS
  (*static_cast<LifecycleCallback *>(callback))(std::string_view(event, size));
#else
  try {
    (*static_cast<LifecycleCallback *>(callback))(std::string_view(event, size));
  } catch (...) {
  }
#endif
}

// A function of the C header that gives a text: `call(&text, &error)`.
template <class Call>
Result<Text> text_of(const Call &call) {
  mr_text *text = nullptr;
  mr_error *error = nullptr;
  const mr_status status = call(&text, &error);
  if (status != MR_OK) return Error(status, error);
  return Text(text);
}

// One that gives nothing: `call(&error)`.
template <class Call>
Result<void> done(const Call &call) {
  mr_error *error = nullptr;
  const mr_status status = call(&error);
  if (status != MR_OK) return Error(status, error);
  return {};
}

}  // namespace detail

// -------------------------------------------------------------------------------------------------------------- Requests

/// What a running request reports: one or more pieces of its answer, or its end. It never changes.
///
/// Thread safety: const member functions from any thread, concurrently.
class Event {
 public:
  /// Takes over a handle of the C interface.
  explicit Event(mr_event *event) noexcept : handle_(event) {}

  [[nodiscard]] EventKind kind() const noexcept { return static_cast<EventKind>(mr_event_get_kind(handle_.get())); }
  /// What the event adds to the answer (to the first, where several were asked for): possibly empty, never a part of a character.
  [[nodiscard]] std::string_view text() const noexcept { return detail::lent(mr_event_get_text, handle_.get()); }
  /// The event's chunks in the OpenAI shape, as a JSON list.
  [[nodiscard]] std::string_view json() const noexcept { return detail::lent(mr_event_get_json, handle_.get()); }
  /// The event as server-sent events, for hosts that offer over HTTP what the library answers: "data: " and a chunk, for each
  /// chunk; stream_done for EventKind::finished; the error for EventKind::failed. Who reads a Stream sends stream_done at its end.
  [[nodiscard]] std::string_view stream() const noexcept { return detail::lent(mr_event_get_stream, handle_.get()); }
  /// Why the request failed, for EventKind::failed; null for other kinds. It lives as long as the event; copy it to keep it.
  [[nodiscard]] const Error *error() const noexcept { return error_ ? &*error_ : nullptr; }

  /// The handle, which stays owned by this object, or by the library in a callback.
  [[nodiscard]] const mr_event *get() const noexcept { return handle_.get(); }

 private:
  friend class Runtime;
  friend class Stream;
  struct Lent {};
  // For a callback, which gets it as const and cannot keep it.
  Event(Lent, const mr_event *event) noexcept : handle_(const_cast<mr_event *>(event), {false}) {
    if (const mr_error *error = mr_event_get_error(event)) error_ = Error::heard(error);
  }

  detail::Owned<mr_event, mr_event_free> handle_;
  std::optional<Error> error_;
};

/// A running request. Destroying it cancels it; with a callback it first waits until the callback has returned, unless it is
/// destroyed in the callback itself.
///
/// Thread safety: const member functions from any thread, concurrently.
class Request {
 public:
  /// Takes over a handle of the C interface.
  explicit Request(mr_request *request) noexcept : handle_(request) {}

  /// Waits for the end of the answer, as long as it takes, and gives the whole response, whatever of it was read before. Later
  /// calls answer the same.
  [[nodiscard]] Result<Text> wait() const {
    auto response = wait_until(MR_WAIT_FOREVER);
    if (!response) return std::move(response).error();
    return *std::move(*response);
  }
  /// The same within a time; an empty optional: not yet.
  [[nodiscard]] Result<std::optional<Text>> wait_for(std::chrono::milliseconds timeout) const {
    return wait_until(detail::to_c(timeout));
  }
  /// Why the answer ended early, as far as it has: empty while it runs and where it ended well.
  [[nodiscard]] std::optional<Error> error() const {
    auto response = wait_until(0);
    // In the request's own callback there is nothing to wait for yet.
    if (response || response.code() == Code::conflict) return std::nullopt;
    return std::move(response).error();
  }
  /// Asks for the end: it comes with Code::cancelled within one step. What has ended stays as it is. Never blocks.
  void cancel() const noexcept { mr_request_cancel(handle_.get()); }
  /// The exact version that serves the request, as the field "model" of its answer names it.
  [[nodiscard]] std::string_view version() const noexcept { return detail::lent(mr_request_get_version, handle_.get()); }
  /// When things happened to a request that has ended well, as JSON; else Code::conflict.
  [[nodiscard]] Result<Text> timings() const {
    return detail::text_of([&](auto... out) { return mr_request_timings(handle_.get(), out...); });
  }
  /// Writes the conversation of a request that has ended well into a file, which is complete afterwards or as it was before.
  /// Runtime::restore_session takes it up again. Not in a callback.
  /// @param path The file.
  /// @param choice Which of the answers, from 0.
  Result<void> save_session(std::string_view path, std::size_t choice = 0) const {
    return detail::done(
        [&](auto error) { return mr_request_save_session(handle_.get(), choice, path.data(), path.size(), error); });
  }

  /// The handle, which stays owned by this object.
  [[nodiscard]] const mr_request *get() const noexcept { return handle_.get(); }

 private:
  friend class Runtime;

  Result<std::optional<Text>> wait_until(std::int64_t timeout_ms) const {
    mr_text *response = nullptr;
    mr_error *error = nullptr;
    const mr_status status = mr_request_wait(handle_.get(), timeout_ms, &response, &error);
    if (status == MR_OK) return std::optional<Text>(Text(response));
    if (status == MR_TIMED_OUT) return std::optional<Text>();
    Error failure(status, error);
    return thrown_ ? thrown_->explain(std::move(failure)) : std::move(failure);
  }

  // Behind the handle: it is needed until that is freed.
  std::shared_ptr<detail::Thrown> thrown_;
  detail::Owned<mr_request, mr_request_free> handle_;
};

/// What Stream::next_for found.
enum class Wait : std::int32_t {
  event,        ///< There is an event.
  timed_out,    ///< Nothing new in time.
  done,         ///< The answer is complete and was read.
};

/// An answer that is read in pieces: a Request that is a range of Events, from its first unread one to its end.
///
/// @code
///   for (auto &event : stream) std::cout << event.text();
/// @endcode
///
/// The loop waits for every event. If the request fails it throws an Exception; without exceptions it ends, and error() says
/// why. Several threads may read one stream; each event goes to one of them. Leaving the loop early loses nothing: another
/// begins where it stopped.
class Stream : public Request {
 public:
  /// Takes over a handle of the C interface, one without a callback.
  explicit Stream(mr_request *request) noexcept : Request(request) {}

  /// An event, or why there is none.
  struct Next {
    Wait status;
    std::optional<Event> event;
  };

  /// Waits for the next pieces, as long as it takes, and gives all that are there as one event. Empty: the answer is complete
  /// and was read. An error ended the request; it comes again in every later call.
  [[nodiscard]] Result<std::optional<Event>> next() const {
    auto next = next_until(MR_WAIT_FOREVER);
    if (!next) return std::move(next).error();
    return std::move(next->event);
  }
  /// The same within a time.
  [[nodiscard]] Result<Next> next_for(std::chrono::milliseconds timeout) const { return next_until(detail::to_c(timeout)); }

  /// The end of every stream.
  struct Sentinel {};

  /// Reads on with each step; refers to the stream, which must stay where it is.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    using pointer = Event *;
    using reference = Event &;

    /// Reads the first event.
    explicit Iterator(const Stream &stream) : stream_(&stream) { ++*this; }

    [[nodiscard]] Event &operator*() const noexcept { return *event_; }
    [[nodiscard]] Event *operator->() const noexcept { return &*event_; }
    Iterator &operator++() {
      auto next = stream_->next();
#ifdef MODEL_RUNTIME_NO_EXCEPTIONS
      event_ = next ? *std::move(next) : std::nullopt;
#else
      event_ = std::move(next).value();
#endif
      return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const Iterator &at, Sentinel) noexcept { return !at.event_; }
    friend bool operator==(Sentinel, const Iterator &at) noexcept { return !at.event_; }
    friend bool operator!=(const Iterator &at, Sentinel) noexcept { return at.event_.has_value(); }
    friend bool operator!=(Sentinel, const Iterator &at) noexcept { return at.event_.has_value(); }

   private:
    const Stream *stream_;
    // An input iterator gives its element through a const one too.
    mutable std::optional<Event> event_;
  };

  /// Waits for the first unread event. @throws Exception if the request fails.
  [[nodiscard]] Iterator begin() const { return Iterator(*this); }
  [[nodiscard]] Sentinel end() const noexcept { return {}; }

 private:
  Result<Next> next_until(std::int64_t timeout_ms) const {
    mr_event *event = nullptr;
    mr_error *error = nullptr;
    const mr_status status = mr_request_next(get(), timeout_ms, &event, &error);
    if (status == MR_OK) return Next{Wait::event, Event(event)};
    if (status == MR_TIMED_OUT) return Next{Wait::timed_out, std::nullopt};
    if (status == MR_DONE) return Next{Wait::done, std::nullopt};
    return Error(status, error);
  }
};

/// The vectors of a request, made or being made. Destroying it cancels what is not done; with a callback of notify() it first
/// waits until that has returned, unless it is destroyed in the callback itself.
///
/// Thread safety: const member functions from any thread, concurrently.
class Embeddings {
 public:
  /// Takes over a handle of the C interface.
  explicit Embeddings(mr_embeddings *embeddings) noexcept : handle_(embeddings) {}

  /// Waits until all vectors are made, as long as it takes.
  Result<void> wait() const {
    return detail::done([&](auto error) { return mr_embeddings_wait(handle_.get(), MR_WAIT_FOREVER, error); });
  }
  /// The same within a time; false: not yet.
  [[nodiscard]] Result<bool> wait_for(std::chrono::milliseconds timeout) const {
    mr_error *error = nullptr;
    const mr_status status = mr_embeddings_wait(handle_.get(), detail::to_c(timeout), &error);
    if (status != MR_OK && status != MR_TIMED_OUT) return Error(status, error);
    return status == MR_OK;
  }
  /// Has `function` hear of the end once, so that no thread has to wait for it. Never blocks.
  ///
  /// @code
  ///   embeddings->notify([embeddings](const model_runtime::Result<void> &end) {   // a shared_ptr: they live until then
  ///     if (end) store(embeddings->values()); else log(end.error());
  ///   });
  /// @endcode
  ///
  /// @param function Is called with what wait() answers from then on, on the runtime's dispatch thread, possibly before this
  ///   function returns; never, if the object is destroyed first. It returns nothing, is moved or copied in, and is destroyed
  ///   once: behind the call, with the object, or before this function returns if that fails. What it throws is dropped, since
  ///   the end has come and there is nothing left to stop: tell of it in the function. Where there is no memory for the words of
  ///   an error, it hears its code alone.
  /// @return Code::conflict: one hears of it already; Code::shutting_down.
  template <class Function, class = std::enable_if_t<std::is_invocable_v<std::decay_t<Function> &, const Result<void> &>>>
  Result<void> notify(Function &&function) const {
    using Hearer = Listener<std::decay_t<Function>>;
    auto hearer = std::make_unique<Hearer>(std::forward<Function>(function));
    return detail::done([&](auto error) {
      return mr_embeddings_notify(handle_.get(), Hearer::hear, hearer.release(), detail::destroy<Hearer>, error);
    });
  }

  /// The number of texts; 0 before wait() has succeeded.
  [[nodiscard]] std::size_t rows() const noexcept { return block().rows; }
  /// The number of values of a vector; 0 before wait() has succeeded.
  [[nodiscard]] std::size_t dimension() const noexcept { return block().dimension; }
  /// All vectors in one block, row by row in the order of the texts, as long as this object lives; empty before wait() has
  /// succeeded.
  [[nodiscard]] Span<const float> values() const & noexcept {
    const Block all = block();
    return {all.values, all.rows * all.dimension};
  }
  /// The vector of one text, from 0 on; empty if there is none.
  [[nodiscard]] Span<const float> row(std::size_t row) const & noexcept {
    const Block all = block();
    return row < all.rows ? Span<const float>{all.values + row * all.dimension, all.dimension} : Span<const float>{};
  }
  /// The values would be gone with the temporary: give it a name.
  Span<const float> values() const && = delete;
  /// The values would be gone with the temporary: give it a name.
  Span<const float> row(std::size_t row) const && = delete;

  /// How many texts have their vectors by now: the first ones, in the order of the request.
  [[nodiscard]] std::size_t done() const noexcept { return mr_embeddings_get_done(handle_.get()); }
  /// The tokens of one text, special ones included; 0 if there is no such text. Known from the start.
  [[nodiscard]] std::size_t tokens(std::size_t row) const noexcept { return mr_embeddings_get_tokens(handle_.get(), row); }
  /// Whether one text was longer than the endpoint takes and was cut. Known from the start.
  [[nodiscard]] bool truncated(std::size_t row) const noexcept { return mr_embeddings_get_truncated(handle_.get(), row) == 1; }
  /// What is applied to the vectors. Known from the start.
  [[nodiscard]] Normalize normalize() const noexcept {
    return mr_embeddings_get_normalize(handle_.get()) == MR_NORMALIZE_L2 ? Normalize::l2 : Normalize::none;
  }
  /// The exact version that answers.
  [[nodiscard]] std::string_view version() const noexcept { return detail::lent(mr_embeddings_get_version, handle_.get()); }
  /// The response as JSON of the OpenAI shape; Code::conflict before wait() has succeeded.
  [[nodiscard]] Result<Text> response() const {
    return detail::text_of([&](auto... out) { return mr_embeddings_response(handle_.get(), out...); });
  }
  /// Asks for the end of what is not done: it comes with Code::cancelled within one batch. Never blocks.
  void cancel() const noexcept { mr_embeddings_cancel(handle_.get()); }

  /// The handle, which stays owned by this object.
  [[nodiscard]] const mr_embeddings *get() const noexcept { return handle_.get(); }

 private:
  // Lives as long as the library may call it.
  template <class Function>
  struct Listener {
    static_assert(std::is_void_v<std::invoke_result_t<Function &, const Result<void> &>>,
                  "who hears of the end has nothing to answer");

    template <class From>
    explicit Listener(From &&from) : function(std::forward<From>(from)) {}

    static std::int32_t hear(void *self, const mr_event *event) noexcept {
      const mr_error *error = mr_event_get_error(event);
      const Result<void> end = error == nullptr ? Result<void>() : Result<void>(Error::heard(error));
#ifdef MODEL_RUNTIME_NO_EXCEPTIONS
      static_cast<Listener *>(self)->function(end);
#else
      try {
        static_cast<Listener *>(self)->function(end);
      } catch (...) {
      }
#endif
      return static_cast<std::int32_t>(Flow::go_on);
    }

    Function function;
  };

  struct Block {
    const float *values = nullptr;
    std::size_t rows = 0;
    std::size_t dimension = 0;
  };

  Block block() const noexcept {
    Block all;
    all.values = mr_embeddings_get_values(handle_.get(), &all.rows, &all.dimension);
    return all;
  }

  detail::Owned<mr_embeddings, mr_embeddings_free> handle_;
};

// --------------------------------------------------------------------------------------------------------------- Runtime

/// Models behind endpoint names. A copy is another reference to the same runtime; it ends with the last of them and the last of
/// its requests.
///
/// Thread safety: const member functions from any thread, concurrently.
class Runtime {
 public:
  /// Makes a runtime that serves nothing yet. Blocks while the database is opened.
  [[nodiscard]] static Result<Runtime> create(const RuntimeOptions &options = {}) {
    mr_runtime_options c = MR_RUNTIME_OPTIONS_INIT;
    c.memory_budget = options.memory_budget;
    detail::set(c.database, c.database_len, options.database);
    detail::set(c.catalog, c.catalog_len, options.catalog);
    auto clock = options.clock ? std::make_unique<detail::HostClock>(options.clock) : nullptr;
    auto listener = options.on_lifecycle ? std::make_unique<LifecycleCallback>(options.on_lifecycle) : nullptr;
    if (clock) {
      c.clock = detail::HostClock::now;
      c.clock_data_free = detail::destroy<detail::HostClock>;
    }
    if (listener) {
      c.on_lifecycle = detail::hear;
      c.lifecycle_data_free = detail::destroy<LifecycleCallback>;
    }
    c.clock_data = clock.release();
    c.lifecycle_data = listener.release();
    mr_runtime *runtime = nullptr;
    mr_error *error = nullptr;
    const mr_status status = mr_runtime_new(&c, &runtime, &error);
    if (status != MR_OK) return Error(status, error);
    return Runtime(runtime);
  }

  /// Takes over one reference of the C interface.
  explicit Runtime(mr_runtime *runtime) noexcept : handle_(runtime) {}
  Runtime(const Runtime &other) noexcept : handle_(other.handle_.get()) { mr_runtime_retain(handle_.get()); }
  Runtime(Runtime &&) noexcept = default;
  Runtime &operator=(const Runtime &other) noexcept { return *this = Runtime(other); }
  Runtime &operator=(Runtime &&) noexcept = default;
  ~Runtime() = default;

  /// Loads a model and serves it under a name. Blocks until it is loaded; after a failure nothing is left behind.
  /// @param name The endpoint's name, which requests give as "model".
  /// @param model A folder in the Hugging Face layout or a GGUF file.
  /// @param options How it is served.
  /// @return JSON about the endpoint (name, version, context_length, plan, ...).
  Result<Text> serve(std::string_view name, std::string_view model, const ServeOptions &options = {}) const {
    return serve(name, model, options, nullptr, nullptr);
  }
  /// The same; `progress` hears how far the load is and may end it (Code::callback).
  Result<Text> serve(std::string_view name, std::string_view model, const ServeOptions &options,
                     const ProgressCallback &progress) const {
    Hearing<ProgressCallback> hearing{progress, {}};
    auto info = serve(name, model, options, Hearing<ProgressCallback>::of_load, &hearing);
    if (!info) return hearing.thrown.explain(std::move(info).error());
    return info;
  }
  /// Takes an endpoint away. Its requests end with Code::shutting_down, its memory is given back.
  Result<void> remove(std::string_view name) const {
    return detail::done([&](auto error) { return mr_runtime_remove(handle_.get(), name.data(), name.size(), error); });
  }
  /// What is served, as a JSON list in order of name; each entry as serve() gives it.
  [[nodiscard]] Result<Text> endpoints() const {
    return detail::text_of([&](auto... out) { return mr_runtime_endpoints(handle_.get(), out...); });
  }
  /// What serving a model would cost, as JSON (weight_bytes, cache_bytes, total_bytes, ...). Reads headers only.
  [[nodiscard]] Result<Text> plan(std::string_view model, const ServeOptions &options = {}) const {
    const mr_serve_options c = detail::to_c(options);
    return detail::text_of(
        [&](auto... out) { return mr_runtime_plan(handle_.get(), model.data(), model.size(), &c, out...); });
  }
  /// What the runtime is doing, as JSON: queue, batch, cache, tokens and times of each endpoint. Never blocks.
  [[nodiscard]] Result<Text> stats() const {
    return detail::text_of([&](auto... out) { return mr_runtime_stats(handle_.get(), out...); });
  }

  /// Loads an adapter of low rank (LoRA) beside the model of an endpoint, which goes on answering.
  /// @param endpoint The endpoint's name.
  /// @param name What requests call the adapter: text without blanks, '+' and '@'.
  /// @param path A folder as PEFT saves it.
  /// @return JSON about the adapter (name, version, rank, modules, bytes, digest, ...).
  Result<Text> load_adapter(std::string_view endpoint, std::string_view name, std::string_view path) const {
    return detail::text_of([&](auto... out) {
      return mr_runtime_load_adapter(handle_.get(), endpoint.data(), endpoint.size(), name.data(), name.size(), path.data(),
                                     path.size(), out...);
    });
  }
  /// Takes an adapter away. Requests that run finish with what they began with.
  Result<void> unload_adapter(std::string_view endpoint, std::string_view name) const {
    return detail::done([&](auto error) {
      return mr_runtime_unload_adapter(handle_.get(), endpoint.data(), endpoint.size(), name.data(), name.size(), error);
    });
  }
  /// Does an operation on registered models, endpoints, retirements or usage; mr_runtime_manage lists them.
  /// @param operation Such as "registry.register".
  /// @param request A JSON object; empty text stands for an empty one.
  /// @return JSON, "null" where there is nothing to say. After a failure everything is as before.
  Result<Text> manage(std::string_view operation, std::string_view request = {}) const {
    return detail::text_of([&](auto... out) {
      return mr_runtime_manage(handle_.get(), operation.data(), operation.size(), request.data(), request.size(), out...);
    });
  }
  /// Answers a file of requests, one in each line in the shape of the OpenAI batch API, and writes a result for each into another.
  /// Blocks until every request has its result. A run that was ended, in whatever way, goes on where it was when it is run again.
  /// @param requests The file of requests.
  /// @param results The file of results; made if it is not there, continued if it is.
  /// @param options How they are answered.
  /// @return JSON: what progress hears, and "complete".
  Result<Text> run_batch(std::string_view requests, std::string_view results, const BatchOptions &options = {}) const {
    return run_batch(requests, results, options, nullptr, nullptr);
  }
  /// The same; `progress` hears how far the run is and may end it (Code::callback). What was written stays.
  Result<Text> run_batch(std::string_view requests, std::string_view results, const BatchOptions &options,
                         const BatchCallback &progress) const {
    Hearing<BatchCallback> hearing{progress, {}};
    auto summary = run_batch(requests, results, options, Hearing<BatchCallback>::of_batch, &hearing);
    if (!summary) return hearing.thrown.explain(std::move(summary).error());
    return summary;
  }
  /// Puts a conversation from a file into the cache of an endpoint that serves the same model in the same way. Not in a callback.
  /// @return How many tokens from its beginning need not be computed again.
  Result<std::size_t> restore_session(std::string_view endpoint, std::string_view path) const {
    std::size_t tokens = 0;
    mr_error *error = nullptr;
    const mr_status status = mr_runtime_restore_session(handle_.get(), endpoint.data(), endpoint.size(), path.data(),
                                                        path.size(), &tokens, &error);
    if (status != MR_OK) return Error(status, error);
    return tokens;
  }

  /// Answers a chat request, all at once: JSON in the OpenAI shape, in and out. Blocks until the answer is complete.
  [[nodiscard]] Result<Text> chat(std::string_view request, const RequestOptions &options = {}) const {
    return answer(mr_runtime_chat, request, options);
  }
  /// Answers a text completion request, all at once.
  [[nodiscard]] Result<Text> complete(std::string_view request, const RequestOptions &options = {}) const {
    return answer(mr_runtime_complete, request, options);
  }
  /// Makes the vectors of texts, all at once, as JSON in the OpenAI shape.
  [[nodiscard]] Result<Text> embeddings(std::string_view request, const RequestOptions &options = {}) const {
    return answer(mr_runtime_embeddings, request, options);
  }

  /// Submits a chat request whose answer is read in pieces, or waited for. Blocks never for long.
  [[nodiscard]] Result<Stream> submit_chat(std::string_view request, const RequestOptions &options = {}) const {
    return submit(mr_runtime_submit_chat, request, options);
  }
  /// Submits a chat request whose events `callback` receives, possibly before this function returns.
  [[nodiscard]] Result<Request> submit_chat(std::string_view request, const RequestOptions &options,
                                            EventCallback callback) const {
    return submit(mr_runtime_submit_chat, request, options, std::move(callback));
  }
  /// Submits a text completion request whose answer is read in pieces, or waited for.
  [[nodiscard]] Result<Stream> submit_completion(std::string_view request, const RequestOptions &options = {}) const {
    return submit(mr_runtime_submit_completion, request, options);
  }
  /// Submits a text completion request whose events `callback` receives, possibly before this function returns.
  [[nodiscard]] Result<Request> submit_completion(std::string_view request, const RequestOptions &options,
                                                  EventCallback callback) const {
    return submit(mr_runtime_submit_completion, request, options, std::move(callback));
  }
  /// Begins to make the vectors of texts; they are read where they lie.
  [[nodiscard]] Result<Embeddings> submit_embeddings(std::string_view request, const RequestOptions &options = {}) const {
    const mr_request_options c = detail::to_c(options);
    mr_embeddings *embeddings = nullptr;
    mr_error *error = nullptr;
    const mr_status status =
        mr_runtime_submit_embeddings(handle_.get(), request.data(), request.size(), &c, &embeddings, &error);
    if (status != MR_OK) return Error(status, error);
    return Embeddings(embeddings);
  }

  /// The handle, which stays owned by this object.
  [[nodiscard]] const mr_runtime *get() const noexcept { return handle_.get(); }

 private:
  // Who hears about a call on this thread, until it returns.
  template <class Callback>
  struct Hearing {
    const Callback &callback;
    detail::Thrown thrown;

    static std::int32_t of_load(void *self, std::int32_t phase, std::uint64_t done, std::uint64_t total) noexcept {
      auto *hearing = static_cast<Hearing *>(self);
      return hearing->thrown.guard([&] { return hearing->callback(Progress{static_cast<Phase>(phase), done, total}); });
    }
    static std::int32_t of_batch(void *self, const char *progress, std::size_t size) noexcept {
      auto *hearing = static_cast<Hearing *>(self);
      return hearing->thrown.guard([&] { return hearing->callback(std::string_view(progress, size)); });
    }
  };

  // Lives as long as the library calls it; what was thrown lives as long as somebody may ask.
  struct Listener {
    EventCallback callback;
    std::shared_ptr<detail::Thrown> thrown;

    static std::int32_t hear(void *self, const mr_event *event) noexcept {
      auto *listener = static_cast<Listener *>(self);
      return listener->thrown->guard([&] { return listener->callback(Event(Event::Lent{}, event)); });
    }
  };

  Result<Text> serve(std::string_view name, std::string_view model, const ServeOptions &options,
                     mr_progress_callback progress, void *data) const {
    const mr_serve_options c = detail::to_c(options);
    return detail::text_of([&](auto... out) {
      return mr_runtime_serve(handle_.get(), name.data(), name.size(), model.data(), model.size(), &c, progress, data, nullptr,
                              out...);
    });
  }

  Result<Text> run_batch(std::string_view requests, std::string_view results, const BatchOptions &options,
                         mr_batch_callback progress, void *data) const {
    const mr_request_options each = detail::to_c(options.requests);
    mr_batch_options c = MR_BATCH_OPTIONS_INIT;
    c.concurrency = options.concurrency;
    c.order = static_cast<std::int32_t>(options.order);
    c.requests = &each;
    return detail::text_of([&](auto... out) {
      return mr_runtime_run_batch(handle_.get(), requests.data(), requests.size(), results.data(), results.size(), &c, progress,
                                  data, nullptr, out...);
    });
  }

  Result<Text> answer(decltype(mr_runtime_chat) function, std::string_view request, const RequestOptions &options) const {
    const mr_request_options c = detail::to_c(options);
    return detail::text_of([&](auto... out) { return function(handle_.get(), request.data(), request.size(), &c, out...); });
  }

  Result<Stream> submit(decltype(mr_runtime_submit_chat) function, std::string_view request,
                        const RequestOptions &options) const {
    const mr_request_options c = detail::to_c(options);
    mr_request *handle = nullptr;
    mr_error *error = nullptr;
    const mr_status status =
        function(handle_.get(), request.data(), request.size(), &c, nullptr, nullptr, nullptr, &handle, &error);
    if (status != MR_OK) return Error(status, error);
    return Stream(handle);
  }

  Result<Request> submit(decltype(mr_runtime_submit_chat) function, std::string_view request, const RequestOptions &options,
                         EventCallback callback) const {
    const mr_request_options c = detail::to_c(options);
    auto thrown = std::make_shared<detail::Thrown>();
    auto listener = std::make_unique<Listener>(Listener{std::move(callback), thrown});
    mr_request *handle = nullptr;
    mr_error *error = nullptr;
    const mr_status status = function(handle_.get(), request.data(), request.size(), &c, Listener::hear, listener.release(),
                                      detail::destroy<Listener>, &handle, &error);
    if (status != MR_OK) return Error(status, error);
    Request submitted(handle);
    submitted.thrown_ = std::move(thrown);
    return submitted;
  }

  detail::Owned<mr_runtime, mr_runtime_release> handle_;
};

#ifdef MODEL_RUNTIME_NO_EXCEPTIONS
}  // inline namespace without_exceptions
#else
}  // inline namespace with_exceptions
#endif
}  // namespace model_runtime

#undef MODEL_RUNTIME_VISIBLE

#endif  // MODEL_RUNTIME_HPP
