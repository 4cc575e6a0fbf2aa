//===- MatrixBench.cpp - One matrix through the whole pipeline, against the ceilings ===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// usage: matrix-bench LIB.so OUTPUTS INPUTS BYTES_PER_WEIGHT
//
// LIB.so holds a model whose forward is an embedding and linears of OUTPUTS x INPUTS
// in all (matrix.py makes it); its packed weights lie beside it. Decode of one row is measured
// against read bandwidth over a buffer of the matrix's size, 128 rows against the peak
// of the multiply-adds that the type runs on, on one thread, work and ceilings in turn. Prints one
// JSON object: medians, their spread ((p90 - p10) / median), and the ratios.
//
//===----------------------------------------------------------------------===//

#include "MultiplyAddPeak.h"
#include "ReadBandwidth.h"
#include "treadle-c/model.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <nlohmann/json.hpp>

using namespace treadle::run;

enum { repeats = 41, prefillRows = 128 };

static void require(bool condition, const char *what) {
  if (condition)
    return;
  std::fprintf(stderr, "matrix-bench: %s\n", what);
  std::exit(1);
}

static nlohmann::json report(const Summary &work, const Summary &ceiling, const char *unit) {
  return {{"unit", unit},
          {"median", work.median / 1e9},
          {"spread", work.spread},
          {"ceiling", ceiling.median / 1e9},
          {"ceiling_spread", ceiling.spread},
          {"ratio", work.median / ceiling.median}};
}

int main(int argc, char **argv) {
  require(argc == 5, "usage: matrix-bench LIB.so OUTPUTS INPUTS BYTES_PER_WEIGHT");
  double weights = std::atof(argv[2]) * std::atof(argv[3]);
  double bytesPerWeight = std::atof(argv[4]), bytes = weights * bytesPerWeight;

  void *library = dlopen(argv[1], RTLD_NOW);
  require(library, "cannot load the library");
  auto query = reinterpret_cast<const treadle_model_api *(*)(uint32_t)>(
      dlsym(library, "treadle_model_query"));
  require(query, "the library exports no treadle_model_query");
  const treadle_model_api *api = query(TREADLE_MODEL_ABI);
  require(api, "the library is older than this program");

  char message[256] = "";
  treadle_model *model = nullptr;
  treadle_open_params open = {};
  open.struct_size = sizeof(open);
  open.threads = 1;
  std::string weightsPath(argv[1]);
  weightsPath.replace(weightsPath.rfind('.'), std::string::npos, ".weights");
  open.weights = weightsPath.c_str();
  require(api->model_open(&open, &model, message, sizeof(message)) == TREADLE_STATUS_OK, message);
  treadle_session *session = nullptr;
  treadle_session_params params = {};
  params.struct_size = sizeof(params);
  require(api->session_create(model, &params, &session, message, sizeof(message)) ==
              TREADLE_STATUS_OK,
          message);

  std::vector<int32_t> ids(prefillRows);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>(i % 64);
  auto secondsOf = [&](size_t rows) {
    api->session_reset(session);
    double start = now();
    treadle_status status =
        api->session_forward(session, ids.data(), nullptr, rows, TREADLE_LOGITS_NONE, nullptr, 0);
    double elapsed = now() - start;
    require(status == TREADLE_STATUS_OK, "forward failed");
    return elapsed;
  };

  ReadBandwidth bandwidth(static_cast<size_t>(bytes));
  MultiplyAddPeak peak(bytesPerWeight == 2 ? MultiplyAddPeak::kindForBF16() : MultiplyAdd::f32);
  std::vector<double> decode, prefill;
  secondsOf(1);
  for (int i = 0; i < repeats; ++i) {
    bandwidth.sample();
    // As the read kernels: over and over until the clock can tell, on whatever the caches keep.
    double elapsed = 0;
    int rounds = 0;
    for (; elapsed < 4e-3 || rounds < 4; ++rounds)
      elapsed += secondsOf(1);
    decode.push_back(bytes * rounds / elapsed);
    peak.sample();
    prefill.push_back(2 * weights * prefillRows / secondsOf(prefillRows));
  }
  nlohmann::json result = {
      {"decode", report(summarize(decode), bandwidth.ceiling().bytesPerSecond, "GB/s")},
      {"rows_128", report(summarize(prefill), peak.flopsPerSecond(), "GFLOP/s")}};
  std::printf("%s\n", result.dump(2).c_str());
  api->session_destroy(session);
  api->model_close(model);
}
