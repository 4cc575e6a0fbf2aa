//===- Library.h - A compiled model, opened ------------------- -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUN_LIBRARY_H
#define TREADLE_RUN_LIBRARY_H

#include "Options.h"

#include "treadle-c/model.h"

#include <memory>
#include <string>
#include <vector>

namespace treadle::run {

/// An error that ends the program: says `message` and exits with 1.
[[noreturn]] void exitWithError(const std::string &message);

/// The library and, once open() was called, the model. The library stays loaded for
/// the life of the program.
class Library {
public:
  /// Loads the library, or exits with an error.
  explicit Library(const Options &options);

  /// Opens the model, or exits with an error.
  void open();

  const treadle_model_api &api() const { return *table; }
  const treadle_model_info &info() const { return description; }
  const treadle_model *model() const { return opened.get(); }
  const std::string &weights() const { return weightsPath; }

  std::vector<treadle_entry_info> entries() const;
  std::vector<treadle_state_info> states() const;

private:
  struct Closer {
    const treadle_model_api *table;
    void operator()(treadle_model *model) const { table->model_close(model); }
  };

  const treadle_model_api *table;
  treadle_model_info description;
  std::string weightsPath;
  int32_t mostThreads; ///< as asked for
  std::string device, driver;
  std::unique_ptr<treadle_model, Closer> opened{nullptr, Closer{nullptr}};
};

/// A session, and calls on it that exit with its message when they fail.
class Session {
public:
  Session(const Library &library, const Options &options);
  ~Session() { api.session_destroy(session); }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  treadle_session_info info() const;
  /// How often each of the library's `entries` entry points was called since reset.
  std::vector<uint64_t> counters(size_t entries) const;
  void reset();
  /// Calls `mark` at the borders of stages from now on; null: no longer.
  void profile(treadle_mark_function mark, void *context);
  /// A mark of where the session stands, and back to it.
  std::vector<unsigned char> checkpoint();
  void rollback(const std::vector<unsigned char> &mark);
  void forward(const int32_t *ids, size_t count, treadle_logits mode,
               float *logits, size_t capacity);
  int32_t sample(const std::vector<float> &logits,
                 const treadle_sample_params &params);

private:
  void check(treadle_status status) const;

  const treadle_model_api &api;
  treadle_session *session;
};

} // namespace treadle::run

#endif // TREADLE_RUN_LIBRARY_H
