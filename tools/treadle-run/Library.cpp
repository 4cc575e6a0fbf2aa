//===- Library.cpp - A compiled model, opened -----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Library.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fstream>

using namespace treadle::run;

void treadle::run::exitWithError(const std::string &message) {
  std::fflush(stdout);
  std::fprintf(stderr, "treadle-run: error: %s\n", message.c_str());
  std::exit(1);
}

//===----------------------------------------------------------------------===//
// Library
//===----------------------------------------------------------------------===//

/// OUT.weights for OUT.so.
static std::string weightsBeside(std::string library) {
  const std::string suffix = ".so";
  if (library.size() > suffix.size() &&
      !library.compare(library.size() - suffix.size(), suffix.size(), suffix))
    library.resize(library.size() - suffix.size());
  return library + ".weights";
}

/// A library that is cut short can be loaded, and the process dies where what is
/// missing is touched. The linker puts the table of sections last.
static bool isCut(const std::string &path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const uint64_t size = file ? uint64_t(file.tellg()) : 0;
  Elf64_Ehdr header;
  file.seekg(0);
  if (!file.read(reinterpret_cast<char *>(&header), sizeof(header)) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG))
    return false; // dlopen says what is wrong with it
  const uint64_t sections = uint64_t(header.e_shnum) * header.e_shentsize;
  return header.e_shoff > size || sections > size - header.e_shoff;
}

Library::Library(const Options &options)
    : weightsPath(options.weights), mostThreads(options.threads),
      device(options.device), driver(options.driver) {
  // Without a slash, dlopen would search the system's folders instead.
  std::string path = options.library;
  if (path.find('/') == std::string::npos)
    path = "./" + path;
  if (isCut(path))
    exitWithError("cannot load the library: " + path + ": it is cut short");
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    exitWithError(std::string("cannot load the library: ") + dlerror());
  auto query = reinterpret_cast<treadle_model_query_fn>(
      dlsym(handle, "treadle_model_query"));
  if (!query)
    exitWithError(
        options.library +
        ": no treadle_model_query in it: not a compiled model, or one "
        "with --symbol-prefix");
  table = query(TREADLE_MODEL_ABI);
  if (!table || table->struct_size < sizeof(*table))
    exitWithError(options.library + ": of an older, unknown interface");
  description = {};
  description.struct_size = sizeof(description);
  if (table->model_info(nullptr, &description) != TREADLE_STATUS_OK)
    exitWithError(options.library + ": does not describe itself");
  if (weightsPath.empty() &&
      description.weights_mode == TREADLE_WEIGHTS_EXTERNAL)
    weightsPath = weightsBeside(options.library);
}

void Library::open() {
  treadle_open_params params = {};
  params.struct_size = sizeof(params);
  params.weights = weightsPath.empty() ? nullptr : weightsPath.c_str();
  params.threads = mostThreads;
  params.device = device.empty() ? nullptr : device.c_str();
  params.cuda_driver = driver.empty() ? nullptr : driver.c_str();
  char message[512];
  treadle_model *model;
  if (table->model_open(&params, &model, message, sizeof(message)) !=
      TREADLE_STATUS_OK)
    exitWithError(message);
  opened = {model, Closer{table}};
}

std::vector<treadle_entry_info> Library::entries() const {
  std::vector<treadle_entry_info> entries(description.entry_count);
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i].struct_size = sizeof(entries[i]);
    table->entry_info(opened.get(), i, &entries[i]);
  }
  return entries;
}

std::vector<treadle_state_info> Library::states() const {
  std::vector<treadle_state_info> states(description.state_count);
  for (size_t i = 0; i < states.size(); ++i) {
    states[i].struct_size = sizeof(states[i]);
    table->state_info(nullptr, i, &states[i]);
  }
  return states;
}

//===----------------------------------------------------------------------===//
// Session
//===----------------------------------------------------------------------===//

Session::Session(const Library &library, const Options &options)
    : api(library.api()) {
  treadle_session_params params = {};
  params.struct_size = sizeof(params);
  params.loops = options.loops;
  params.context = options.context;
  params.on_full =
      options.recompute ? TREADLE_ON_FULL_RECOMPUTE : TREADLE_ON_FULL_STOP;
  char message[512];
  if (api.session_create(library.model(), &params, &session, message,
                         sizeof(message)) != TREADLE_STATUS_OK)
    exitWithError(message);
}

void Session::check(treadle_status status) const {
  if (status != TREADLE_STATUS_OK)
    exitWithError(api.session_message(session));
}

treadle_session_info Session::info() const {
  treadle_session_info info = {};
  info.struct_size = sizeof(info);
  check(api.session_info(session, &info));
  return info;
}

void Session::profile(treadle_mark_function mark, void *context) {
  check(api.session_profile(session, mark, context));
}

std::vector<uint64_t> Session::counters(size_t entries) const {
  std::vector<uint64_t> counts(entries);
  check(api.session_counters(session, counts.data(), counts.size()));
  return counts;
}

void Session::reset() { check(api.session_reset(session)); }

std::vector<unsigned char> Session::checkpoint() {
  size_t size;
  check(api.checkpoint_size(session, &size));
  std::vector<unsigned char> mark(size);
  check(api.session_checkpoint(session, mark.data(), mark.size()));
  return mark;
}

void Session::rollback(const std::vector<unsigned char> &mark) {
  check(api.session_rollback(session, mark.data(), mark.size()));
}

void Session::forward(const int32_t *ids, size_t count, treadle_logits mode,
                      float *logits, size_t capacity) {
  check(api.session_forward(session, ids, nullptr, count, mode, logits,
                            capacity));
}

int32_t Session::sample(const std::vector<float> &logits,
                        const treadle_sample_params &params) {
  int32_t id;
  check(
      api.session_sample(session, logits.data(), logits.size(), &params, &id));
  return id;
}
