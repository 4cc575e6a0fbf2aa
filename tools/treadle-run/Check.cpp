//===- Check.cpp - Verify and self-test -----------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Actions.h"
#include "Waiting.h"

#include <cstdio>

using namespace treadle::run;

int treadle::run::verify(Library &library, const Options &options) {
  library.open();
  std::string size =
      formatBytes(static_cast<double>(library.info().weights_bytes));
  char message[512];
  treadle_status status;
  {
    Waiting waiting(options.progress, "verifying " + size + " of weights");
    status =
        library.api().model_verify(library.model(), message, sizeof(message));
  }
  if (status != TREADLE_STATUS_OK)
    exitWithError(message);
  if (library.info().weights_mode == TREADLE_WEIGHTS_NONE)
    std::printf("verified: the library needs no weights\n");
  else
    std::printf("verified: %s of weights match their digest\n", size.c_str());
  return 0;
}

int treadle::run::selfTest(Library &library, const Options &options) {
  library.open();
  treadle_selftest_report report = {};
  report.struct_size = sizeof(report);
  char message[512];
  treadle_status status;
  {
    Waiting waiting(options.progress, "running the self-test");
    status = library.api().model_selftest(library.model(), &report, message,
                                          sizeof(message));
  }
  if (report.golden_count)
    std::printf("golden vectors: %zu, worst difference %.3g of the tolerance\n",
                report.golden_count, static_cast<double>(report.golden_worst));
  else
    std::printf("golden vectors: none in this library, invariance only\n");
  if (report.invariance_loops)
    std::printf("invariance: %u tokens whole, one by one and in ragged pieces, "
                "1 to %u loops\n",
                report.invariance_rows, report.invariance_loops);
  if (status != TREADLE_STATUS_OK)
    exitWithError(message);
  std::printf("passed\n");
  return 0;
}
