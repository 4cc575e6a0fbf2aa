//===- Generate.cpp - Continuing a prompt ---------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"

#include <algorithm>
#include <cstdio>

using namespace treadle::run;

static bool endsText(const treadle_model_info &info, int32_t id) {
  const int32_t *end = info.eos_ids + info.eos_count;
  return std::find(info.eos_ids, end, id) != end;
}

/// Whether one more token may be run.
static bool hasRoom(const Session &session) {
  treadle_session_info info = session.info();
  return info.on_full == TREADLE_ON_FULL_RECOMPUTE || info.context == 0 ||
         info.position < info.context;
}

int treadle::run::generate(Library &library, const Options &options) {
  library.open();
  Session session(library, options);
  uint64_t random = options.seed;
  treadle_sample_params params = {};
  params.struct_size = sizeof(params);
  params.temperature = options.temperature;
  params.top_k = options.topK;
  params.top_p = options.topP;
  params.random = &random;

  std::vector<float> logits(library.info().vocab_size);
  session.forward(options.ids.data(), options.ids.size(), TREADLE_LOGITS_LAST,
                  logits.data(), logits.size());
  const uint64_t count = options.count.value_or(32);
  for (uint64_t i = 0; i < count; ++i) {
    int32_t id = session.sample(logits, params);
    std::printf(i ? " %d" : "%d", id);
    std::fflush(stdout);
    if (endsText(library.info(), id) || i + 1 == count)
      break;
    if (!hasRoom(session)) {
      std::printf("\n");
      std::fprintf(stderr, "treadle-run: the context is full; "
                           "--on-full=recompute would go on\n");
      return 0;
    }
    session.forward(&id, 1, TREADLE_LOGITS_LAST, logits.data(), logits.size());
  }
  std::printf("\n");
  return 0;
}
